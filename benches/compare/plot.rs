//! The plot: for every row and figure a bar that says how many times better ours is.

use std::fmt::Write;

use crate::figures::{Figure, Row};

const WIDTH: f64 = 900.0;
/// Room for names on the left and for values on the right.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 62.0;
const BAR: f64 = 11.0;
const GAP: f64 = 9.0;
/// The scale is logarithmic and ends here on both sides.
const LEAST: f64 = 0.25;
const MOST: f64 = 1_024.0;

/// Figures of requests that are drawn, with their colours.
const DRAWN: [(Figure, &str, &str); 3] = [
    (Figure::Rate, "#1f6feb", "throughput"),
    (Figure::P99, "#d29922", "99th percentile of latency"),
    (Figure::Cpu, "#2da44e", "server CPU per operation"),
];
/// Other figures that are drawn.
const FACTS: [Figure; 7] = [
    Figure::LoadRate,
    Figure::Resident,
    Figure::Restart,
    Figure::CompactionGap,
    Figure::DefragGap,
    Figure::PerWatcher,
    Figure::Failover,
];
const FACT_COLOUR: &str = "#8250df";

/// A bar with its label; the label is empty under another bar of the same row.
struct Bar {
    label: String,
    times: f64,
    colour: &'static str,
}

/// Draws the rows that were measured with one kind of connection.
pub(crate) fn draw(rows: &[Row], wire: &str) -> String {
    let groups: Vec<Vec<Bar>> =
        rows.iter().filter(|row| row.wire == wire).flat_map(groups).collect();
    let bars: usize = groups.iter().map(Vec::len).sum();
    let height = TOP + bars as f64 * BAR + groups.len() as f64 * GAP + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut svg, wire);
    axis(&mut svg, height);
    let mut y = TOP;
    for bar in groups.iter().flat_map(|group| group.iter().map(Some).chain([None])) {
        match bar {
            Some(bar) => {
                draw_bar(&mut svg, bar, y);
                y += BAR;
            }
            None => y += GAP,
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn groups(row: &Row) -> Vec<Vec<Bar>> {
    let bar =
        |label: String, figure, colour| Bar { label, times: row.times_better(figure), colour };
    if row.has_latencies() {
        let labels = [row.title(), String::new(), String::new()];
        let bars = DRAWN.iter().zip(labels);
        return vec![
            bars.map(|((figure, colour, _), label)| bar(label, *figure, colour)).collect(),
        ];
    }
    let facts = FACTS.iter().filter(|figure| row.figures().contains(figure));
    facts
        .map(|figure| vec![bar(format!("{}: {}", row.name, short(*figure)), *figure, FACT_COLOUR)])
        .collect()
}

fn short(figure: Figure) -> &'static str {
    match figure {
        Figure::LoadRate => "loading",
        Figure::Resident => "memory",
        Figure::Restart => "restart",
        Figure::CompactionGap => "stall while compacting",
        Figure::DefragGap => "stall while defragmenting",
        Figure::PerWatcher => "memory per watcher",
        Figure::Failover => "time without a leader",
        other => other.name(),
    }
}

fn place(times: f64) -> f64 {
    let share = (times.clamp(LEAST, MOST) / LEAST).log2() / (MOST / LEAST).log2();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

// Writing to a string cannot fail, hence the results that nobody looks at below.

fn legend(svg: &mut String, wire: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"18\" font-size=\"14\" font-weight=\"bold\">How many times better than \
         real etcd, {wire} (logarithmic; right of 1 is better)</text>"
    );
    let mut x = 10.0;
    let others = [(FACT_COLOUR, "the rest")];
    let colours = DRAWN.iter().map(|(_, colour, name)| (*colour, *name)).chain(others);
    for (colour, name) in colours {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"26\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"35\">{name}</text>",
            x + 14.0
        );
        x += 40.0 + name.len() as f64 * 6.2;
    }
}

fn axis(svg: &mut String, height: f64) {
    let mut tick = LEAST;
    while tick <= MOST {
        let x = place(tick);
        let colour = if (tick - 1.0).abs() < f64::EPSILON { "#24292f" } else { "#d0d7de" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            TOP - 6.0,
            height - 14.0,
            TOP - 10.0
        );
        tick *= 2.0;
    }
}

fn draw_bar(svg: &mut String, bar: &Bar, y: f64) {
    let (from, to) = (place(1.0).min(place(bar.times)), place(1.0).max(place(bar.times)));
    let middle = y + BAR - 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
         <text x=\"{:.1}\" y=\"{middle:.1}\">{:.2}</text>",
        LEFT - 8.0,
        bar.label,
        (to - from).max(1.0),
        BAR - 2.0,
        bar.colour,
        to + 4.0,
        bar.times
    );
}
