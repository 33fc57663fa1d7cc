//! Watches that come to an end by themselves: by an error, or because the command they run fails.

use crate::compat::ctl::script::{Line, line};

const KEY: &str = "ETCDCTL_WATCH_KEY";
const END: &str = "ETCDCTL_WATCH_RANGE_END";

/// A watch that ends with an event whose value is `last`.
macro_rules! until_last {
    ($watch:literal) => {
        line(concat!($watch, " -- /bin/sh -c 'case $ETCD_WATCH_VALUE in *last*) exit 1; esac'"))
    };
}

/// A watch that ends with a deletion.
macro_rules! until_deleted {
    ($watch:literal) => {
        line(concat!(
            $watch,
            " -- /bin/sh -c 'case $ETCD_WATCH_EVENT_TYPE in *DELETE*) exit 3; esac'"
        ))
    };
}

const TELL: &str = "watch w --rev=5 -- /bin/sh -c 'echo $ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE \
                    $ETCD_WATCH_KEY $ETCD_WATCH_VALUE; exit 7'";

/// From their first event to their last.
pub(super) const WATCHES: &[Line] = &[
    line("put w 1"),
    line("put w 2"),
    line("put wide last"),
    line("del w"),
    line("put x last"),
    line("watch w --rev=2 -- /bin/false"),
    until_last!("watch w --prefix --rev=2"),
    until_last!("watch w --prefix --rev=2 -w json"),
    until_last!("watch w --prefix --rev=2 -w fields"),
    until_last!("watch w --prefix --rev=2 -w table"),
    line("watch w --prefix --rev=2 -w bogus -- /bin/false"),
    until_last!("watch w --prefix --rev=2 --hex"),
    line("watch w --rev=2 --prev-kv -- /bin/sh -c '[ $ETCD_WATCH_EVENT_TYPE != DELETE ]; exit 3'"),
    until_deleted!("watch w --rev=2 --prev-kv -w json"),
    until_deleted!("watch w --rev=2 --prev-kv -w fields"),
    until_deleted!("watch w --rev=2 --prev-kv"),
    until_last!("watch w wz --rev=3"),
    line(TELL),
    line("watch --rev=2 -- /bin/false").with(&[(KEY, "w")]),
    until_last!("watch --rev=2").with(&[(KEY, "w"), (END, "y")]),
    until_last!("watch --rev=2 --prefix").with(&[(KEY, "w")]),
    line("watch w --rev=2 -- /nonexistent/program"),
    line("watch w --rev=2 -- /bin/sh -c 'kill -9 $$'"),
    line("watch w --rev=2 -- /bin/sh -c 'cat; exit 2'")
        .typing("commands do not read what we could"),
    // What cannot be watched.
    line("watch"),
    line("watch w --"),
    line("watch w x --prefix"),
    line("watch w x y --rev=2 -- /bin/false"),
    line("watch -- /bin/false"),
    line("watch w --rev=x"),
    line("watch w --bogus"),
    line("watch b").with(&[(KEY, "a")]),
    line("watch").with(&[(END, "x")]),
    line("watch -i").typing("bogus\n\nwatch\nwatch a b --prefix\n"),
    line("watch -i").typing(""),
    line("watch -i").typing("watch a --rev=x\n"),
    line("watch -i").typing("watch a --\n"),
    line("watch -i").with(&[(KEY, "w")]).typing("watch b\n"),
    // What is no longer there.
    line("compaction 4"),
    line("watch w --rev=2"),
    line("watch w --rev=2 -w json"),
    line("watch w --rev=2 -w fields"),
    line("watch w --rev=2 -w table"),
    line("watch w --rev=2 --prefix --prev-kv --progress-notify"),
];
