//! Revocation lists travel: every member asks the others for newer ones than it enforces. A list is
//! made on one machine, and reaches the rest within a few seconds, those that were down when they are
//! back.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::consensus::{Node, PeerService};
use crate::proto::revocation::revocations_client::RevocationsClient;
use crate::proto::revocation::revocations_server::{self, RevocationsServer};
use crate::proto::revocation::{Authority, Lists, Wanted};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::{IntCounterVec, Registry};
use crate::telemetry::quiet::Quiet;
use crate::transport::{Credentials, ListRefused, MAX_LIST_BYTES};
use crate::types::ids::MemberId;

/// Pause between two rounds of questions: what is revoked should be so everywhere within seconds.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What passing lists needs.
pub struct PassingParts {
    /// The other members.
    pub node: Node,
    /// What this member trusts, and where lists are enforced.
    pub credentials: Vec<Credentials>,
    /// Owner of the task.
    pub supervisor: Supervisor,
    /// Where lists are counted.
    pub registry: Registry,
}

/// Asks the other members, and answers them.
pub struct Passing {
    credentials: Vec<Credentials>,
}

impl Passing {
    /// Starts asking, if there is anything to enforce a list on.
    pub fn start(parts: PassingParts) -> Self {
        let PassingParts { node, credentials, supervisor, registry } = parts;
        let taken = registry.counter_vec(
            "etcd_rs_tls_passed_lists_total",
            "The total number of revocation lists other members passed on, by result.",
            &["result"],
        );
        let asker =
            Asker { node, credentials: credentials.clone(), taken, quiet: Quiet::default() };
        if !credentials.is_empty() {
            let stop = supervisor.stop_token(Stage::Upkeep);
            supervisor.spawn("revocation lists", Stage::Upkeep, async move {
                loop {
                    tokio::select! {
                        () = stop.stopped() => return,
                        () = asker.round() => {}
                    }
                    tokio::select! {
                        () = stop.stopped() => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            });
        }
        Self { credentials }
    }

    /// What lists are enforced on: what each port shows, and whom it trusts.
    pub fn credentials(&self) -> &[Credentials] {
        &self.credentials
    }

    /// The service for the other members.
    pub fn server(&self, peers: PeerService) -> RevocationsServer<ListService> {
        RevocationsServer::new(ListService { credentials: self.credentials.clone(), peers })
    }
}

struct Asker {
    node: Node,
    credentials: Vec<Credentials>,
    taken: IntCounterVec,
    quiet: Quiet,
}

impl Asker {
    /// Asks every other member once.
    async fn round(&self) {
        let wanted = self.wanted();
        if wanted.authorities.is_empty() {
            return;
        }
        let own = self.node.id();
        let others = self.node.members().into_iter().map(|member| member.id);
        let asked = others.filter(|id| *id != own).filter_map(|id| {
            let mut client = RevocationsClient::new(self.node.peer(id)?);
            let wanted = wanted.clone();
            Some(async move { (id, timeout(PATIENCE, client.newer(wanted)).await) })
        });
        for (member, answer) in join_all(asked).await {
            // One that is down or of an older version is asked again.
            let Ok(Ok(lists)) = answer else { continue };
            for list in lists.into_inner().lists {
                self.take(member, list.to_vec()).await;
            }
        }
    }

    /// What is trusted on any port; of an authority trusted on both, the older list counts.
    fn wanted(&self) -> Wanted {
        let mut least: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for live in self.credentials.iter().map(Credentials::live) {
            for (authority, number) in live.lists.wanted() {
                let known = least.entry(authority.to_vec()).or_insert_with(|| number.to_vec());
                if (number.len(), number) < (known.len(), &known[..]) {
                    *known = number.to_vec();
                }
            }
        }
        let authorities = least
            .into_iter()
            .map(|(key, number)| Authority { key: key.into(), number: number.into() });
        Wanted { authorities: authorities.collect() }
    }

    /// Takes a list wherever its authority is trusted.
    async fn take(&self, member: MemberId, list: Vec<u8>) {
        let credentials = self.credentials.clone();
        // Checks a signature and waits for the disk.
        let results = spawn_blocking(move || {
            credentials.iter().map(|held| held.take_list(&list)).collect::<Vec<_>>()
        });
        let Ok(results) = results.await else { return };
        if results.iter().any(Result::is_ok) {
            self.taken.with_label_values(&["taken"]).inc();
            tracing::info!("from-member" = %member, "took a newer revocation list of another member");
        }
        let faults: Vec<ListRefused> = results.into_iter().filter_map(Result::err).collect();
        let distrusted = |fault: &ListRefused| matches!(fault, ListRefused::Untrusted(_));
        let nobody_trusts = faults.len() == self.credentials.len() && faults.iter().all(distrusted);
        for fault in faults {
            // A list is for one port as a rule, and the other port says so.
            let expected = fault == ListRefused::Older || (distrusted(&fault) && !nobody_trusts);
            if !expected {
                self.taken.with_label_values(&["refused"]).inc();
                self.quiet.say(|hidden| {
                    tracing::warn!(
                        "from-member" = %member,
                        error = %fault,
                        hidden,
                        "refused a revocation list of another member"
                    );
                });
            }
        }
    }
}

/// Answers the other members.
pub struct ListService {
    credentials: Vec<Credentials>,
    peers: PeerService,
}

#[tonic::async_trait]
impl revocations_server::Revocations for ListService {
    async fn newer(&self, request: Request<Wanted>) -> Result<Response<Lists>, Status> {
        self.peers.admit(&request)?;
        let mut lists: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        for live in self.credentials.iter().map(Credentials::live) {
            for list in live.lists.lists() {
                let mut wanted = request.get_ref().authorities.iter();
                let newer = wanted.any(|authority| {
                    authority.key == list.authority() && list.is_newer_than(&authority.number)
                });
                let fits = bytes + list.der().len() <= MAX_LIST_BYTES;
                if newer && fits && !lists.iter().any(|known| known == list.der()) {
                    bytes += list.der().len();
                    lists.push(list.der().to_vec());
                }
            }
        }
        Ok(Response::new(Lists { lists: lists.into_iter().map(Into::into).collect() }))
    }
}
