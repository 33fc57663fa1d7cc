//! The tables, as text that reads well on a terminal and is Markdown too.

use std::fmt::Write;

use crate::figures::{Figure, Row};

/// A client busier than this on its one thread may be what limits the rate.
pub(crate) const CLIENT_BOUND: f64 = 0.9;

/// The columns of the table of requests.
const COLUMNS: [Figure; 8] = [
    Figure::Rate,
    Figure::P50,
    Figure::P99,
    Figure::P999,
    Figure::Cpu,
    Figure::Peak,
    Figure::ServerBusy,
    Figure::ClientBusy,
];

/// The head of the table of requests.
pub(crate) fn requests_head() -> String {
    let names: Vec<_> = COLUMNS.iter().map(|figure| figure.name()).collect();
    let rule = "--:|".repeat(COLUMNS.len());
    format!("| workload | in flight | program | {} |\n|---|--:|---|{rule}\n", names.join(" | "))
}

/// The three lines of a row of requests: real etcd, ours, and the ratios.
pub(crate) fn requests(row: &Row) -> String {
    let mut text = String::new();
    for (place, program) in ["etcd", "ours"].into_iter().enumerate() {
        let bound = row.median(Figure::ClientBusy, place) >= CLIENT_BOUND;
        let cell = |figure: &Figure| {
            let shown = figure.show(row.median(*figure, place));
            if bound && *figure == Figure::Rate { format!("≥ {shown}") } else { shown }
        };
        line(&mut text, row, program, COLUMNS.iter().map(cell));
    }
    let ratio = |figure: &Figure| {
        let compares = figure.compares();
        if compares { format!("**{:.2}**", row.ratio(*figure)) } else { String::new() }
    };
    line(&mut text, row, "**ours / etcd**", COLUMNS.iter().map(ratio));
    text
}

fn line(text: &mut String, row: &Row, program: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<_> = cells.collect();
    // Writing to a string cannot fail.
    let _ =
        writeln!(text, "| {} | {} | {program} | {} |", row.name, row.in_flight, cells.join(" | "));
}

/// The head of the table of everything that is no request.
pub(crate) fn facts_head() -> &'static str {
    "| | etcd | ours | ours / etcd |\n|---|--:|--:|--:|\n"
}

/// A row of facts, one line for each.
pub(crate) fn facts(row: &Row) -> String {
    let mut text = String::new();
    for figure in row.figures() {
        let ratio =
            if figure.compares() { format!("**{:.2}**", row.ratio(figure)) } else { String::new() };
        let _ = writeln!(
            text,
            "| {}: {} | {} | {} | {ratio} |",
            row.name,
            figure.name(),
            figure.show(row.median(figure, 0)),
            figure.show(row.median(figure, 1)),
        );
    }
    text
}

/// Prints a row as soon as it is measured, so that a long run can be watched.
pub(crate) fn print(row: &Row) {
    let (head, body) = if row.has_latencies() {
        (requests_head(), requests(row))
    } else {
        (facts_head().to_owned(), facts(row))
    };
    println!("{}, {}\n{head}{body}", row.title(), row.wire);
}
