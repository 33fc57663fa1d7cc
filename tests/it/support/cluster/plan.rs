//! What a cluster is to be like.

/// Milliseconds until silence makes an election: half a second, or `ETCD_FAULT_ELECTION` where the machine
/// has other things to do.
fn election() -> u32 {
    let asked = std::env::var("ETCD_FAULT_ELECTION").ok();
    asked.map_or(500, |text| text.parse().unwrap())
}

/// How many members, how they talk, how they are paced.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) size: usize,
    pub(super) tls: bool,
    pub(super) peer_tls: bool,
    pub(super) proxied: bool,
    pub(super) inside: bool,
    pub(super) heartbeat: u32,
    pub(super) election: u32,
    pub(super) token: String,
    pub(super) flags: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Plan {
    /// So many members without certificates, paced so that a test need not wait long for an election.
    pub(crate) fn of(size: usize) -> Self {
        Self {
            size,
            tls: false,
            peer_tls: false,
            proxied: false,
            inside: false,
            heartbeat: election() / 10,
            election: election(),
            token: "test-cluster".to_owned(),
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Certificates on both sides, for clients and between members.
    pub(crate) fn with_mutual_tls(self) -> Self {
        Self { tls: true, peer_tls: true, ..self }
    }

    /// TLS between members only, with whatever certificates the flags say.
    pub(crate) fn encrypted_among_members(self) -> Self {
        Self { peer_tls: true, ..self }
    }

    /// Members are no processes but threads of this one. They cannot be killed or paused: where a test
    /// wants that, they are stopped, and started again on their data.
    pub(crate) fn inside(self) -> Self {
        Self { inside: true, ..self }
    }

    /// Members reach each other through a network that can be cut and slowed down.
    pub(crate) fn on_a_network(self) -> Self {
        Self { proxied: true, ..self }
    }

    /// Milliseconds between heartbeats, and until silence makes an election.
    pub(crate) fn paced(self, heartbeat: u32, election: u32) -> Self {
        Self { heartbeat, election, ..self }
    }

    /// The name the cluster's ids are derived from.
    pub(crate) fn token(self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self }
    }

    /// Flags of every member at every start.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    /// A variable of every member; `{home}` in the value stands for its folder.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}
