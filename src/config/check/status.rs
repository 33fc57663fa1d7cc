//! Settings this version does not serve, or serves without effect, and names given twice.

use super::Findings;
use crate::config::layers::{Given, Settings};
use crate::config::table::{Kind, Status};
use crate::config::value;

pub(super) fn check(settings: &Settings, found: &mut Findings) {
    for given in settings.tops() {
        let Given { setting, spelt, origin, .. } = given;
        let usual = value::parse(setting.kind, setting.default);
        if setting.kind != Kind::Relic && usual.as_ref() == Ok(&given.value) {
            continue;
        }
        match setting.status {
            Status::Live => {}
            Status::Idle(why) => {
                found.warn(format!("{spelt} ({origin}) changes nothing: {why}"));
            }
            Status::Later(what) => found.fault(format!(
                "{spelt} ({origin}) needs {what}, which this version does not serve yet; \
                 leave it at its default {:?}",
                setting.default
            )),
        }
    }
    two_names(settings, found);
}

/// One setting under its old and its new name in one place: nobody can say which was meant.
fn two_names(settings: &Settings, found: &mut Findings) {
    let given = settings.given();
    for (position, old) in given.iter().enumerate().filter(|(_, one)| is_old(one)) {
        let other = given.iter().enumerate().find(|(at, new)| {
            let together = new.setting.name == old.setting.name && new.spelt != old.spelt;
            together && new.origin.is_beside(&old.origin) && (!is_old(new) || *at > position)
        });
        let Some((_, new)) = other else { continue };
        let (old_name, new_name) = (&old.spelt, &new.spelt);
        let (old_value, new_value) =
            (value::show(old.setting, &old.value), value::show(new.setting, &new.value));
        found.fault(match old.setting.name {
            gate if matches!(old.setting.kind, Kind::Gate(_)) => format!(
                "cannot specify both flags: --{old_name}={old_value} and \
                 --feature-gates={gate}={new_value} at the same time, please just use \
                 --feature-gates={gate}={new_value}"
            ),
            "warning-unary-request-duration" => {
                format!("both --{old_name} and --{new_name} flags are set. Use only --{new_name}")
            }
            _ => format!(
                "cannot set --{old_name} and --{new_name} at the same time, please use \
                 --{new_name} only"
            ),
        });
    }
}

fn is_old(given: &Given) -> bool {
    given.setting.old.contains(&given.spelt.as_str())
}
