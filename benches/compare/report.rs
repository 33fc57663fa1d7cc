//! The report of a whole run: machine, command, targets, tables, plot.

use std::fmt::Write;
use std::path::Path;

use etcd::types::clock::Clock;
use time::OffsetDateTime;

use crate::figures::Row;
use crate::options::Options;
use crate::server::Program;
use crate::table::{self, CLIENT_BOUND};
use crate::targets::verdicts;
use crate::workloads::THREE;
use crate::{Error, machine, plot};

/// What is to be said of the rows of three members.
const OF_THREE: &str = " Three members share the machine and speak with each other as with clients, by \
    mutual TLS or in plaintext. The first connection of a client goes to the leader, others to all in \
    turn; what the members use is added up.";

/// Where the plot of a report is, as seen from the report.
fn plot_of(report: &Path) -> String {
    let name = report.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    format!("benches/{name}.svg")
}

/// A run and what it measured.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) programs: &'a [Program; 2],
    pub(crate) rows: &'a [Row],
}

impl Report<'_> {
    /// Prints the targets, and writes the report where it is wanted.
    ///
    /// # Errors
    /// If the machine or a program does not tell what it is, or a file cannot be written.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        println!("{}\n{}", machine::describe()?, self.targets());
        let Some(file) = &self.options.markdown else { return Ok(()) };
        let folder = file.parent().unwrap_or(Path::new("."));
        let plot = folder.join(plot_of(file));
        std::fs::create_dir_all(plot.parent().unwrap_or(folder))?;
        let wire = self.rows.first().map_or("mutual TLS", |row| row.wire);
        std::fs::write(&plot, plot::draw(self.rows, wire))?;
        std::fs::write(file, self.markdown(&plot_of(file))?)?;
        println!("written: {} and {}", file.display(), plot.display());
        Ok(())
    }

    fn targets(&self) -> String {
        let mut text = "| target | wanted | measured | |\n|---|--:|--:|---|\n".to_owned();
        for verdict in verdicts(self.rows) {
            let kept = if verdict.kept { "kept" } else { "**missed**" };
            let (what, wanted, measured) = (verdict.what, verdict.wanted, verdict.measured);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {what} | {wanted} | {measured} | {kept} |");
        }
        text
    }

    fn markdown(&self, drawn: &str) -> Result<String, Error> {
        let [real, ours] = self.programs;
        let now = OffsetDateTime::from_unix_timestamp(Clock.unix().as_secs().try_into()?)?;
        let mut given: Vec<&str> = self.options.given.iter().map(String::as_str).collect();
        given.splice(..0, ["--reference", "FOLDER-WITH-REAL-ETCD"]);
        let mut text = format!(
            "# Beside real etcd\n\n\
             Made by\n\n    cargo bench --bench compare -- {}\n\n\
             on {}: {}. Real etcd says `{}`, ours `{}`.\n\n\
             Both servers are started in turn on empty directories of the same disk, with default \
             settings except for addresses, certificates and a larger quota. The client is the same for \
             both, works on one thread and shares the machine's cores with the servers. Keys are 32 \
             bytes, values 256 random bytes. Figures are medians \
             of {} rounds of {:?} each, ratios medians of the rounds' ratios; loads of a million keys \
             and more, and rounds in plaintext beside mutual TLS, are made once.{}\n\n\
             ## Targets\n\n{}\n![How many times better]({drawn})\n",
            given.join(" "),
            now.date(),
            machine::describe()?,
            real.version()?,
            ours.version()?,
            self.options.rounds,
            self.options.scale.length,
            if self.rows.iter().any(|row| row.name.starts_with(THREE)) { OF_THREE } else { "" },
            self.targets(),
        );
        let mut wires: Vec<&str> = self.rows.iter().map(|row| row.wire).collect();
        wires.dedup();
        for wire in wires {
            self.tables(&mut text, wire);
        }
        Ok(text)
    }

    fn tables(&self, text: &mut String, wire: &str) {
        let rows = || self.rows.iter().filter(|row| row.wire == wire);
        let _ = write!(
            text,
            "\n## Requests, {wire}\n\nRates with ≥ were measured by a client that was busy for at \
             least {:.0} % of the time: the server could do more. The operations of a fan-out are \
             delivered events, its latencies the time from the acknowledgement of a put to the last \
             watcher's event.\n\n{}",
            CLIENT_BOUND * 100.0,
            table::requests_head()
        );
        rows()
            .filter(|row| row.has_latencies())
            .for_each(|row| text.push_str(&table::requests(row)));
        if rows().any(|row| !row.has_latencies()) {
            let _ = write!(text, "\n## The rest, {wire}\n\n{}", table::facts_head());
            rows()
                .filter(|row| !row.has_latencies())
                .for_each(|row| text.push_str(&table::facts(row)));
        }
    }
}
