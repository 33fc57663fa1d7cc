//! Clusters on addresses of their own: of real processes, or inside this one.

pub(crate) mod address;
mod facts;
mod inside;
mod member;
mod network;
mod owner;
mod plan;
pub(crate) mod requests;

use std::time::Duration;

use etcd::certs::Purpose;
use etcd::client::{Client, Options};
use etcd::proto::etcdserverpb::{Member as Listed, MemberAddRequest, MemberAddResponse};
use tempfile::TempDir;
use tonic::Status;

use inside::Inside;
pub(crate) use member::{Member, State};
pub(crate) use network::{Network, Path};
pub(crate) use plan::Plan;

use crate::support::pki::{Pki, valid};
use crate::support::process::Process;
use crate::support::wait::comes_true;
use member::Addresses;

/// A member that does not even take a connection for so long is as good as away.
const DIAL: Duration = Duration::from_secs(2);

/// Members and what is between them. All of it ends with this value.
pub(crate) struct Cluster {
    /// The members in the order they were made; those that left keep their place.
    pub(crate) members: Vec<Member>,
    network: Option<Network>,
    pki: Option<Pki>,
    plan: Plan,
    folder: TempDir,
}

impl Cluster {
    /// Starts a cluster from a static list and waits until every member serves.
    pub(crate) async fn start(plan: Plan) -> Self {
        let mut cluster = Self::found(plan);
        let all: Vec<usize> = (0..cluster.members.len()).collect();
        for member in &all {
            cluster.launch(*member);
        }
        for member in all {
            cluster.wait_ready(member).await;
        }
        cluster
    }

    /// The members of a cluster that was not started yet.
    pub(crate) fn found(plan: Plan) -> Self {
        let pki = plan.tls.then(certificates);
        let network = plan.proxied.then(Network::new);
        let folder = tempfile::tempdir().unwrap();
        let size = plan.size;
        let mut cluster = Self { members: Vec::new(), network, pki, plan, folder };
        for _ in 0..size {
            cluster.prepare();
        }
        let everybody = cluster.entries(0..size);
        let token = cluster.plan.token.clone();
        for member in &mut cluster.members {
            member.bootstrap = vec![
                format!("--initial-cluster={everybody}"),
                format!("--initial-cluster-token={token}"),
                "--initial-cluster-state=new".to_owned(),
            ];
        }
        cluster
    }

    /// Makes one more member, with addresses and an empty folder; it is in no cluster yet.
    pub(crate) fn prepare(&mut self) -> usize {
        let place = self.members.len();
        let peer = address::reserve();
        let mut advertised = peer;
        if let Some(network) = &mut self.network {
            let listener = address::listener();
            advertised = listener.local_addr().unwrap();
            network.attach(place, listener, peer);
        }
        let addresses = Addresses { client: address::reserve(), peer, advertised };
        let name = format!("m{place}");
        let home = self.folder.path().join(&name);
        let member = Member::new(&name, home, &self.plan, self.pki.as_ref(), addresses);
        self.members.push(member);
        place
    }

    /// `--initial-cluster` with these members.
    pub(crate) fn entries(&self, members: impl IntoIterator<Item = usize>) -> String {
        let entries: Vec<String> =
            members.into_iter().map(|member| self.members[member].entry()).collect();
        entries.join(",")
    }

    /// Starts the process of a member.
    pub(crate) fn launch(&mut self, member: usize) {
        self.launch_with(member, &[]);
    }

    /// The same with flags for this time only.
    pub(crate) fn launch_with(&mut self, member: usize, once: &[&str]) {
        if self.plan.inside {
            let member = &mut self.members[member];
            member.inside = Some(Inside::start(&member.name, member.arguments(once)));
            member.state = State::Up;
            return;
        }
        let process = Process::start(&mut self.members[member].command(once));
        if let Some(network) = &self.network {
            network.runs_as(member, process.pid());
        }
        self.members[member].process = Some(process);
        self.members[member].state = State::Up;
    }

    /// Waits until a member serves and knows a leader.
    ///
    /// # Panics
    /// When its process ends instead; the message shows its output.
    pub(crate) async fn wait_ready(&mut self, member: usize) {
        let member = &mut self.members[member];
        let (name, client) = (member.name.clone(), member.client.clone());
        comes_true(&format!("{name} to serve"), async || {
            if member.has_ended() {
                panic!("{name} ended instead of serving\n{}", member.output().join("\n"));
            }
            let client = &client;
            let status = facts::status(client).await.ok().filter(|status| status.leader != 0)?;
            let served = status.is_learner || requests::try_get(client, "x").await.is_ok();
            served.then_some(())
        })
        .await;
    }

    /// Starts a member again on its data and waits until it serves.
    pub(crate) async fn restart(&mut self, member: usize) {
        self.launch(member);
        self.wait_ready(member).await;
    }

    /// Kills without warning.
    pub(crate) fn kill(&mut self, member: usize) {
        let member = &mut self.members[member];
        member.state = State::Down;
        match &mut member.inside {
            Some(inside) => inside.stop(),
            None => member.process.as_mut().unwrap().kill(),
        }
    }

    /// Ends a member in order.
    pub(crate) fn stop(&mut self, member: usize) {
        let member = &mut self.members[member];
        member.signal("TERM");
        member.wait_end();
    }

    /// Lets a process stand still.
    pub(crate) fn pause(&mut self, member: usize) {
        if self.plan.inside {
            self.kill(member);
        } else {
            self.members[member].signal("STOP");
        }
        self.members[member].state = State::Paused;
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self, member: usize) {
        if self.plan.inside {
            self.launch(member);
        } else {
            self.members[member].signal("CONT");
        }
        self.members[member].state = State::Up;
    }

    /// The members that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        let members = self.members.iter().enumerate();
        members.filter(|(_, member)| member.state == State::Up).map(|(place, _)| place).collect()
    }

    /// The network between the members.
    ///
    /// # Panics
    /// When the plan has none.
    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().unwrap()
    }

    /// The certificates of the members.
    ///
    /// # Panics
    /// When the plan has none.
    pub(crate) fn pki(&self) -> &Pki {
        self.pki.as_ref().unwrap()
    }

    /// A client of one member.
    pub(crate) fn client(&self, member: usize) -> Client {
        self.members[member].client.clone()
    }

    /// A client of a member with connections of its own.
    pub(crate) fn another_client(&self, member: usize) -> Client {
        client(&[self.members[member].client_url()], self.pki.as_ref())
    }

    /// The election timeout.
    pub(crate) fn election_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.plan.election))
    }

    /// Asks `through` to add a member, whose process is not started yet.
    ///
    /// # Panics
    /// When the cluster refuses for another reason than that it is not quiet long enough.
    pub(crate) async fn add(&mut self, through: usize, is_learner: bool) -> Added {
        let place = self.prepare();
        let url = self.members[place].peer_url();
        let client = self.client(through);
        let answer = comes_true("the cluster to take a member", async || {
            accepted(add(&client, &[&url], is_learner).await)
        })
        .await;
        self.joins(place, &answer.members);
        Added { place, id: answer.member.unwrap().id }
    }

    /// Sets the flags with which a prepared member joins a cluster of these.
    pub(crate) fn joins(&mut self, place: usize, listed: &[Listed]) {
        let known = |url: &String| self.members.iter().position(|m| m.peer_url() == *url);
        let listed = listed.iter().map(|member| known(&member.peer_ur_ls[0]).unwrap());
        let everybody = self.entries(listed);
        self.members[place].bootstrap = vec![
            format!("--initial-cluster={everybody}"),
            "--initial-cluster-state=existing".to_owned(),
        ];
    }

    /// Adds a member, starts it and waits until it serves.
    pub(crate) async fn grow(&mut self, through: usize) -> usize {
        let place = self.add(through, false).await.place;
        self.restart(place).await;
        place
    }
}

/// A member that was added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    /// Its place among the members here.
    pub(crate) place: usize,
    /// The id it was given.
    pub(crate) id: u64,
}

/// One attempt to add a member.
pub(crate) async fn add(
    client: &Client,
    urls: &[&str],
    is_learner: bool,
) -> Result<MemberAddResponse, Status> {
    let peer_ur_ls = urls.iter().map(ToString::to_string).collect();
    let request = MemberAddRequest { peer_ur_ls, is_learner };
    requests::answer(client.cluster().member_add(request)).await
}

/// What a change of members gave; `None` when it is to be asked again, because the members have not
/// been connected for long enough, or the leader changed meanwhile.
///
/// # Panics
/// When it was refused for good.
pub(crate) fn accepted<T>(answer: Result<T, Status>) -> Option<T> {
    const AGAIN: [&str; 3] =
        ["etcdserver: unhealthy cluster", "etcdserver: leader changed", "etcdserver: no leader"];
    match answer {
        Ok(answer) => Some(answer),
        Err(status) if AGAIN.contains(&status.message()) => None,
        Err(status) => panic!("the change was refused: {status}"),
    }
}

fn client(urls: &[String], pki: Option<&Pki>) -> Client {
    let options = Options {
        endpoints: urls.to_vec(),
        tls: pki.map(|pki| pki.client("ca.crt", Some("client"))),
        dial_timeout: DIAL,
        ..Options::default()
    };
    Client::lazy(&options).unwrap()
}

/// Certificates for every place the members of a cluster are at.
fn certificates() -> Pki {
    let pki = Pki::new();
    let host = address::host().to_string();
    for name in ["server", "peer"] {
        pki.issue(name, Purpose::Peer, &["localhost", "127.0.0.1", &host], valid());
    }
    pki
}
