//! Tables drawn with `+`, `-` and `|`.

use super::Health;

/// Longer cells are wrapped at blanks.
const WIDEST_CELL: usize = 30;

pub(super) fn health(all: &[Health]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let healthy = one.healthy.to_string();
            vec![one.endpoint.clone(), healthy, one.took.clone(), one.error.clone()]
        })
        .collect();
    draw(&["endpoint", "health", "took", "error"], &rows)
}

/// Headers in capitals and centred, cells to the right.
pub(super) fn draw(headers: &[&str], rows: &[Vec<String>]) -> String {
    let wrapped: Vec<Vec<Vec<String>>> =
        rows.iter().map(|row| row.iter().map(|cell| wrap(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = wrapped.iter().filter_map(|row| row.get(column)).flatten();
        let lines = cells.map(|line| line.chars().count()).max().unwrap_or(0);
        // A cell that was wrapped counts as wide as it may be.
        let cells = rows.iter().filter_map(|row| row.get(column));
        let whole = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        lines
            .max(whole.min(WIDEST_CELL))
            .max(headers.get(column).map_or(0, |header| header.chars().count()))
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let rule = rule + "+\n";
    let mut out = rule.clone();
    for (header, width) in headers.iter().zip(&widths) {
        out.push_str(&format!("| {:^width$} ", header.to_uppercase()));
    }
    out.push_str("|\n");
    out.push_str(&rule);
    for row in &wrapped {
        for line in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            for (cell, width) in row.iter().zip(&widths) {
                let text = cell.get(line).map_or("", String::as_str);
                out.push_str(&format!("| {text:>width$} "));
            }
            out.push_str("|\n");
        }
    }
    out.push_str(&rule);
    out
}

/// The lines of a cell: broken at blanks so that all but the last are about equally full. Blanks at its
/// end stay.
fn wrap(cell: &str) -> Vec<String> {
    let words: Vec<&str> = cell.split(' ').collect();
    let longest = words.iter().map(|word| word.chars().count()).max().unwrap_or(0);
    let room = longest.max(WIDEST_CELL);
    let line = |from: usize, to: usize| words.get(from..to).unwrap_or_default().join(" ");
    // From the last word to the first: what the lines from there on cost, and where the next begins.
    let mut best = vec![(0, words.len()); words.len() + 1];
    for from in (0..words.len()).rev() {
        let fits = |to: &usize| line(from, *to).chars().count() <= room;
        let choices = (from + 1..=words.len()).take_while(fits).map(|to| {
            let last = to == words.len();
            let free = room - line(from, to).chars().count();
            let after = best.get(to).map_or(0, |(cost, _)| *cost);
            (if last { 0 } else { free * free + after }, to)
        });
        if let (Some(choice), Some(place)) = (choices.min(), best.get_mut(from)) {
            *place = choice;
        }
    }
    let mut lines = Vec::new();
    let mut from = 0;
    while from < words.len() {
        let to = best.get(from).map_or(words.len(), |(_, to)| *to);
        lines.push(line(from, to));
        from = to;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_cells_are_broken_and_keep_their_blanks() {
        assert_eq!(wrap(""), [""]);
        assert_eq!(wrap("short "), ["short "]);
        let alarm = "memberID:3319814642761637952 alarm:NOSPACE ";
        assert_eq!(wrap(alarm), ["memberID:3319814642761637952", "alarm:NOSPACE "]);
        let table = draw(&["e"], &[vec![alarm.to_owned()]]);
        assert!(table.contains("|   memberID:3319814642761637952 |\n"), "{table}");
        assert!(table.contains("|                 alarm:NOSPACE  |\n"), "{table}");
        let long = "x".repeat(40);
        assert_eq!(wrap(&format!("a {long}")), ["a", long.as_str()]);
    }
}
