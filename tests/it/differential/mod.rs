//! Random sequences of operations, played on real etcd and on ours side by side: the answers, the
//! event streams and the hash over the history must be equal. `TESTING.md` tells how to run it
//! for hours and how to replay what it finds.

mod answers;
mod campaign;
mod compare;
mod excluded;
mod generate;
mod leases;
mod player;
mod requests;
mod revisions;
mod selfcheck;
mod shrink;
mod step;
mod stream;
mod watcher;
mod watching;

use std::path::Path;

use compare::Verdict;
use step::Sequence;

use crate::support::reference;
use crate::support::server::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn random_sequences_read_the_same() {
    let Some(folder) = reference::folder() else { return };
    let kinds = (Kind::Reference(folder), Kind::Ours);
    match std::env::var_os("ETCD_DIFFERENTIAL_REPLAY") {
        Some(path) => replay(&kinds, Path::new(&path)).await,
        None => campaign::run(&kinds).await,
    }
}

/// Plays a sequence that was saved.
async fn replay((reference, subject): &(Kind, Kind), path: &Path) {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let sequence = Sequence::from_text(&text)
        .unwrap_or_else(|error| panic!("{} is no saved sequence: {error}", path.display()));
    match compare::side_by_side(reference, subject, &sequence).await {
        Verdict::Same(counts) => eprintln!("no difference: {counts:?}"),
        Verdict::Void(why) => panic!("nothing can be said, the machine is too slow: {why}"),
        Verdict::Parted(parting) => panic!("{}", parting.describe(&sequence)),
    }
}
