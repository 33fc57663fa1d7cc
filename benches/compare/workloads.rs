//! Everything measured, in the order of the table.

use crate::Error;
use crate::big::{self, Rows};
use crate::identity::Identity;
use crate::options::Options;
use crate::requests::{self, Ask};
use crate::server::{Program, Server};
use crate::tool::{self, Verb};
use crate::{failover, fanout, idle, kubernetes, leases};

/// What the names of workloads of a cluster begin with.
pub(crate) const THREE: &str = "three members: ";

/// What is done.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ask(Ask),
    Kubernetes,
    FanOut,
    Idle,
    Leases,
    Big(u64),
    Load(u64),
    Failover(usize),
    Tool(Verb),
}

/// One line of the plan.
pub(crate) struct Workload {
    pub(crate) name: String,
    /// Whether it is run in plaintext too when both are asked for.
    pub(crate) plain_too: bool,
    /// Whether it is too long to be repeated.
    pub(crate) once: bool,
    /// Members of the server.
    pub(crate) members: usize,
    kind: Kind,
    in_flight: usize,
    connections: usize,
}

/// The plan: names, clients in flight, connections.
pub(crate) fn workloads(options: &Options) -> Vec<Workload> {
    let one = |name: &str, in_flight, connections, kind| Workload {
        name: name.to_owned(),
        plain_too: matches!(kind, Kind::Ask(Ask::Put | Ask::Get)) && !options.quick,
        once: false,
        members: 1,
        kind,
        in_flight,
        connections,
    };
    let scale = &options.scale;
    let mut plan = Vec::new();
    for (name, ask) in [
        ("put 256 B", Ask::Put),
        ("linearizable get", Ask::Get),
        ("serializable get", Ask::Serializable),
    ] {
        for (in_flight, connections) in [(1, 1), (100, 1), (1_000, 8)] {
            plan.push(one(name, in_flight, connections, Kind::Ask(ask)));
        }
    }
    plan.extend([
        one("range of 1,000", 1, 1, Kind::Ask(Ask::Range)),
        one("range of 1,000", 16, 4, Kind::Ask(Ask::Range)),
        one("Kubernetes-like mix", 100, 4, Kind::Kubernetes),
        one(&format!("watch fan-out to {}", scale.fan_out), 1, 4, Kind::FanOut),
        one(&format!("watch fan-out to {}", scale.fan_out), 16, 4, Kind::FanOut),
        one(&format!("{} leases kept alive", scale.leases), 100, 4, Kind::Leases),
        one(&format!("{} idle watchers", scale.idle), 0, 0, Kind::Idle),
    ]);
    for (name, verb) in [("etcdctl get", Verb::Get), ("etcdctl put", Verb::Put)] {
        plan.push(one(name, 0, 0, Kind::Tool(verb)));
    }
    for keys in &scale.keys {
        let big = one(&format!("{keys} keys"), 0, 0, Kind::Big(*keys));
        plan.push(Workload { once: true, ..big });
    }
    plan.extend(cluster(options));
    plan
}

/// The plan for three members. The first connection goes to the leader, others to all in turn.
fn cluster(options: &Options) -> Vec<Workload> {
    let scale = &options.scale;
    let three = |name: &str, in_flight, connections, kind| Workload {
        name: format!("{THREE}{name}"),
        plain_too: false,
        once: false,
        members: 3,
        kind,
        in_flight,
        connections,
    };
    let mut plan = Vec::new();
    for (name, ask) in [
        ("put 256 B", Ask::Put),
        ("linearizable get", Ask::Get),
        ("serializable get", Ask::Serializable),
    ] {
        for (in_flight, connections) in [(1, 1), (100, 3), (1_000, 9)] {
            plan.push(three(name, in_flight, connections, Kind::Ask(ask)));
        }
    }
    let fan_out = format!("watch fan-out to {}", scale.fan_out);
    plan.push(three(&fan_out, 16, 6, Kind::FanOut));
    plan.push(three("failover", 0, 0, Kind::Failover(scale.kills)));
    let load = three(
        &format!("{} keys", big::grouped(scale.cluster_keys)),
        0,
        0,
        Kind::Load(scale.cluster_keys),
    );
    plan.push(Workload { once: true, ..load });
    plan
}

impl Workload {
    /// Whether it measures the tool, which then asks real etcd whosever it is.
    pub(crate) fn is_of_a_tool(&self) -> bool {
        matches!(self.kind, Kind::Tool(_))
    }

    /// Plays it on a fresh server.
    ///
    /// # Errors
    /// If the server fails or answers wrongly.
    pub(crate) async fn play(
        &self,
        program: &Program,
        server: &mut Server,
        identity: &Identity,
        options: &Options,
    ) -> Result<Rows, Error> {
        let (scale, clients) = (&options.scale, (self.in_flight, self.connections));
        let sample = match self.kind {
            Kind::Ask(ask) => requests::run(ask, clients, server, identity, scale).await?,
            Kind::Kubernetes => kubernetes::run(clients, server, identity, scale).await?,
            Kind::FanOut => fanout::run(clients, server, identity, scale).await?,
            Kind::Leases => leases::run(clients, server, identity, scale).await?,
            Kind::Idle => idle::run(server, identity, scale, options.quick).await?,
            Kind::Load(keys) => big::fill(keys, server, identity, options.quick).await?,
            Kind::Failover(kills) => failover::run(kills, server, identity).await?,
            Kind::Tool(verb) => tool::run(verb, &program.tool(), server, identity, scale.length)?,
            Kind::Big(keys) => return big::run(keys, server, identity, options).await,
        };
        Ok(vec![(self.name.clone(), self.in_flight, sample)])
    }
}
