//! Looks after the certificates in use while nobody connects: files that changed are taken up, the
//! end of each is announced, and those that have an issuer are renewed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::listeners::Listeners;
use super::{following, renewal};
use crate::config::Config;
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::transport::{Credentials, Expiry};
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

/// Connections look by themselves, once a second; this is for a server nobody connects to, and for
/// connections that are open when their certificate is revoked.
const LOOK: Duration = Duration::from_secs(1);

/// Starts looking, if there is anything to look after; gives it back.
pub(super) fn start(
    listeners: &Listeners,
    config: &Config,
    member: MemberId,
    registry: &Registry,
    supervisor: &Supervisor,
) -> Vec<Credentials> {
    let credentials = listeners.credentials();
    if credentials.is_empty() {
        return credentials;
    }
    renewal::start(config, &credentials, registry, supervisor);
    following::start(config, member, &credentials, registry, supervisor);
    let (watched, counters) = (credentials.clone(), listeners.counters().clone());
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("certificates", Stage::Upkeep, async move {
        let mut announced = Announced::default();
        loop {
            counters.look_at_clients();
            for held in &watched {
                held.refresh();
                for warning in announced.due(&held.live().expiries, Clock.unix()) {
                    tracing::warn!("{warning}");
                }
            }
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    });
    credentials
}

/// What was said of each file already.
#[derive(Default)]
struct Announced(HashMap<(PathBuf, String, i64), usize>);

impl Announced {
    /// What is to be said now. Of a file seen for the first time nothing is: loading it said it.
    fn due(&mut self, expiries: &[Expiry], now: Duration) -> Vec<String> {
        let now = now.as_secs().cast_signed();
        let mut said = Vec::new();
        for expiry in expiries {
            let key = (expiry.file.clone(), expiry.name.clone(), expiry.not_after);
            let notices = expiry.notices(now);
            let before = self.0.entry(key).or_insert(notices);
            if *before < notices {
                *before = notices;
                said.extend(expiry.warning(now));
            }
        }
        // Renewed ones leave their place.
        self.0.retain(|(file, _, not_after), _| {
            expiries.iter().all(|one| one.file != *file)
                || expiries.iter().any(|one| one.file == *file && one.not_after == *not_after)
        });
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn each_notice_is_given_once_and_a_renewed_certificate_starts_anew() {
        let expiry = |not_after: i64| Expiry {
            file: "/pki/server.crt".into(),
            kind: "certificate",
            name: "db1".to_owned(),
            not_before: not_after - 90 * DAY,
            not_after,
        };
        let mut announced = Announced::default();
        let mut at = |day: i64, expiry: &Expiry| {
            announced
                .due(std::slice::from_ref(expiry), Duration::from_secs((day * DAY) as u64))
                .len()
        };
        let first = expiry(1090 * DAY);
        let said: Vec<usize> = (1000..1093).map(|day| at(day, &first)).collect();
        let days: Vec<i64> = (0..93).filter(|day| said[*day as usize] > 0).collect();
        assert_eq!(days, [60, 76, 83, 89, 91], "days since its beginning");
        let second = expiry(1180 * DAY);
        assert_eq!((at(1093, &second), at(1151, &second), at(1151, &second)), (0, 1, 0));
    }
}
