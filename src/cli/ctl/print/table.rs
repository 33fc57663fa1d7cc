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
        let widest = cells.map(|line| line.chars().count()).max().unwrap_or(0);
        widest.max(headers.get(column).map_or(0, |header| header.chars().count()))
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

fn wrap(cell: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDEST_CELL => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
