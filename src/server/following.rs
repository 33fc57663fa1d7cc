//! This server goes by what its issuer trusts: when the authorities are replaced it takes up the new
//! ones, and reports that it has.

use std::time::Duration;

use tokio::task::spawn_blocking;

use super::renewal;
use crate::certs::{Layout, Purpose, Side};
use crate::config::Config;
use crate::enrol::{Following, Known, take_trust};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::{IntGauge, Registry};
use crate::transport::Credentials;
use crate::types::ids::MemberId;

/// How often the issuer is asked, and how often while it is away: it need not always run.
const PAUSE: Duration = Duration::from_secs(5);
const AWAY: Duration = Duration::from_secs(15);

/// Starts following the issuer that `issuer.json` beside the member's certificate names, if there is
/// one.
pub(super) fn start(
    config: &Config,
    member: MemberId,
    credentials: &[Credentials],
    registry: &Registry,
    supervisor: &Supervisor,
) {
    let Some(layout) = layout(config) else { return };
    let pairs = [Purpose::Peer, Purpose::Server].map(|purpose| layout.pair(purpose, ""));
    let used = renewal::pairs(config);
    // The member's own comes first: it is what shows that a report is a member's.
    if !used.contains(&pairs[0]) || known(&layout).is_none() {
        return;
    }
    let pairs = pairs.into_iter().filter(|files| used.contains(files)).collect();
    let gauge = registry.gauge(
        "etcd_rs_tls_trust_generation",
        "The generation of trusted authorities that this member goes by, as its issuer counts them.",
    );
    let mut follower = Follower {
        following: Following { layout, pairs, member: member.0 },
        credentials: credentials.to_vec(),
        goes_by: None,
        gauge,
        said: None,
    };
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("trust", Stage::Upkeep, async move {
        loop {
            let pause = tokio::select! {
                () = stop.stopped() => return,
                pause = follower.round() => pause,
            };
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
}

/// The directory whose files this server trusts, if it is one that an issuer looks after.
fn layout(config: &Config) -> Option<Layout> {
    let dir = config.peer_tls.cert_file.as_ref()?.parent()?;
    let layout = Layout::of(dir);
    known(&layout)?;
    for (side, tls) in [(Side::Client, &config.client_tls), (Side::Peer, &config.peer_tls)] {
        let (own, used) = (layout.authority(side), tls.trusted_ca_file.as_ref());
        if used.is_some_and(|used| *used != own) {
            tracing::warn!(
                trusted = %used.map(|path| path.display().to_string()).unwrap_or_default(),
                expected = %own.display(),
                "this server trusts another file than its issuer looks after; when the authorities are \
                 replaced, that has to be done by hand"
            );
            return None;
        }
    }
    Some(layout)
}

fn known(layout: &Layout) -> Option<Known> {
    // What is wrong with the file is said where certificates are renewed.
    Known::read(&layout.issuer()).ok().flatten()
}

struct Follower {
    following: Following,
    credentials: Vec<Credentials>,
    /// What the credentials in use go by; none if that has to be made sure first.
    goes_by: Option<u64>,
    gauge: IntGauge,
    /// The last fault, which is logged once.
    said: Option<String>,
}

impl Follower {
    /// Asks once, takes up what is new, and tells when to ask again.
    async fn round(&mut self) -> Duration {
        let Some(known) = known(&self.following.layout) else { return AWAY };
        self.take_up(&known);
        // Nothing is reported that is only on disk.
        let goes_by = self.goes_by.unwrap_or_default();
        let trust = match self.following.ask(&known, goes_by).await {
            Ok(None) => {
                self.said = None;
                return PAUSE;
            }
            Ok(Some(trust)) => trust,
            Err(error) => {
                let text = error.to_string();
                if self.said.as_ref() != Some(&text) {
                    tracing::info!(error = text, "the issuer does not tell whom to trust");
                    self.said = Some(text);
                }
                return AWAY;
            }
        };
        if trust.generation <= known.generation && self.goes_by != Some(known.generation) {
            // It is on disk and cannot be used; why is said where it was loaded.
            return PAUSE;
        }
        let (layout, generation) = (self.following.layout.clone(), trust.generation);
        let written = spawn_blocking(move || take_trust(&layout, &known, &trust)).await;
        match written {
            Ok(Ok(())) => {
                tracing::info!(generation, "took up whom the issuer trusts");
                Duration::ZERO
            }
            Ok(Err(error)) => {
                tracing::error!(%error, generation, "cannot take up whom the issuer trusts");
                AWAY
            }
            Err(_) => AWAY,
        }
    }

    /// Makes sure that the credentials in use are those on disk.
    fn take_up(&mut self, known: &Known) {
        if self.goes_by == Some(known.generation) {
            return;
        }
        let mut good = true;
        for held in &self.credentials {
            // What is wrong with the files is said there.
            good = held.reload().is_ok() && good;
        }
        self.goes_by = good.then_some(known.generation);
        self.gauge.set(self.goes_by.unwrap_or_default().cast_signed());
    }
}
