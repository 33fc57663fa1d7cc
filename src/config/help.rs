//! The text of `--help`, written from the table.

use std::fmt::Write as _;

use super::table::{self, Kind, Setting, Status};

const HEAD: &str = "
A distributed, reliable key-value store.

Each flag can be given as -flag or --flag, with its value joined by = or as the next argument;
a switch takes its value only joined. The same setting can come from a variable (--data-dir is
ETCD_DATA_DIR) and from the file --config-file names (data-dir: /var/lib/etcd). A flag lies on top
of a variable, a variable on top of the file, the file on top of the default shown here.
";

/// Everything a person may want to know about the flags.
pub(super) fn text() -> String {
    let mut out = String::from(HEAD);
    for (title, settings) in table::SECTIONS {
        section(&mut out, title, settings.iter().filter(|setting| setting.status == Status::Live));
    }
    out.push_str("\nFeature gates, for --feature-gates:\n");
    for setting in table::all().filter(|setting| !setting.has_flag()) {
        if setting.status == Status::Live {
            let _ = writeln!(
                out,
                "  {} (default {})\n    {}",
                setting.name, setting.default, setting.help
            );
        }
    }
    names(&mut out, "\nNot served yet; refused unless left at the default:\n", |status| {
        matches!(status, Status::Later(_))
    });
    names(&mut out, "\nAccepted with a warning, because they change nothing here:\n", |status| {
        matches!(status, Status::Idle(_))
    });
    out
}

fn section<'a>(out: &mut String, title: &str, settings: impl Iterator<Item = &'a Setting>) {
    let mut settings = settings.peekable();
    if settings.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{title}:");
    for setting in settings {
        let value = match setting.kind {
            Kind::Bool if setting.default == "false" => String::new(),
            Kind::Bool => format!("={}", setting.default),
            _ => format!(" '{}'", setting.default),
        };
        let _ = writeln!(out, "  --{}{value}\n    {}", setting.name, setting.help);
        for old in setting.old {
            let _ = writeln!(out, "    Older name: --{old}");
        }
    }
}

fn names(out: &mut String, title: &str, is: impl Fn(Status) -> bool) {
    out.push_str(title);
    for setting in table::all().filter(|setting| is(setting.status)) {
        if setting.has_flag() {
            let _ = writeln!(out, "  --{}", setting.name);
        } else {
            let _ = writeln!(out, "  feature gate {}", setting.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_the_help() {
        let text = text();
        for setting in table::all() {
            assert!(
                text.contains(&format!(" {}", setting.name))
                    || text.contains(&format!("--{}", setting.name)),
                "{}",
                setting.name
            );
        }
        assert!(text.lines().all(|line| line.chars().count() <= 125), "lines for a terminal");
    }
}
