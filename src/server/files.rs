//! Open files: a connection takes one, and so do the log and the store, which must never go without.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files kept for the log and the store, which keeps up to 900 tables open.
const KEPT: u64 = 1_200;

/// Raises the limit of open files as far as the system allows, as Go does for etcd.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "cannot raise the limit of open files");
    }
}

/// Connections that may be open: `wanted`, or fewer if the log and the store need the files.
pub(super) fn for_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = usize::try_from(left(limit)).unwrap_or(usize::MAX).min(wanted);
    if connections < wanted {
        tracing::info!(
            connections,
            file_limit = limit,
            "the limit of open files bounds the number of connections"
        );
    }
    connections
}

/// What a limit of open files leaves for connections: never less than half.
fn left(limit: u64) -> u64 {
    limit - KEPT.min(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_its_files() {
        assert_eq!((left(1_048_576), left(1_024), left(0)), (1_047_376, 512, 0));
    }
}
