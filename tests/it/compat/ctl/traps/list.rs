//! The traps, by what they are about.

use super::Decision::{Kept, Mended};
use super::Shown::{Both, Lines, Test};
use super::{Trap, trap};
use crate::compat::ctl::script::line;

const SCRIPTS: &str = "scripts compare it, or pick their words from it";
const CODES: &str = "scripts branch on the exit code";
const CRASH: &str = "nobody depends on a crash";

const ALIKE: &str = "compat::ctl::scripts_cannot_tell_programs_and_servers_apart";
const THREE: &str = "compat::ctl::three::three_members_are_asked_alike";
const LEASE_FAULTS: &str = "compat::ctl_leases::faults_of_leases_that_nobody_depends_on_are_mended";
const TXN_FAULTS: &str =
    "compat::ctl_keys::faults_of_transactions_that_nobody_depends_on_are_mended";

/// Command lines and settings.
const SETTINGS: &[Trap] = &[
    trap(
        "a flag and its variable together end the command",
        Mended,
        "whoever sets a variable for all and a flag for once means the flag; nobody waits for the refusal",
        Both(
            line("put flag x --hex").with(&[("ETCDCTL_HEX", "false")]),
            "Some(1)\n",
            "Some(0)\nOK\n",
        ),
    ),
    trap("an unknown variable ETCDCTL_… is a warning only", Kept, SCRIPTS, Lines(&["get a"])),
    trap(
        "variables are looked at only by commands that reach a server",
        Kept,
        "version and help work in whatever environment",
        Lines(&["version", "help get"]),
    ),
    trap(
        "only the flags of all commands have variables",
        Kept,
        "a variable ETCDCTL_PREFIX that was without effect must not begin to select keys",
        Lines(&["get a"]),
    ),
    trap(
        "an unknown command and an unknown flag are told of twice",
        Kept,
        SCRIPTS,
        Lines(&["nonsense", "get a --nonsense", "version --bogus"]),
    ),
    trap(
        "a wrong word behind a group prints the group's help and ends with 0",
        Kept,
        CODES,
        Lines(&["snapshot bogus", "endpoint bogus", "completion bogus"]),
    ),
    trap(
        "several uses of --endpoints add up instead of replacing each other",
        Kept,
        "wrappers add endpoints to a command line",
        Lines(&["snapshot save --endpoints=127.0.0.1:1 s.db"]),
    ),
    trap(
        "--insecure-skip-tls-verify does nothing unless another flag asks for TLS",
        Mended,
        "an https endpoint asks for it as well; without one nothing changes",
        Test("ctl_connect::whoever_asks_for_no_verification_need_not_ask_for_tls_too"),
    ),
    trap(
        "--debug prints the password",
        Mended,
        "logs are kept; what comes from where is told instead",
        Both(
            line("get a --debug --user=u --password=secret"),
            "ETCDCTL_PASSWORD=secret",
            "ETCDCTL_PASSWORD=***",
        ),
    ),
    trap(
        "a --discovery-srv whose servers must all be left out goes on with --endpoints",
        Mended,
        "it would ask a cluster nobody named",
        Test("ctl_discovery::servers_are_found_by_their_records"),
    ),
    trap(
        "ETCDCTL_API=2 brings back the old commands",
        Mended,
        "they are gone from 3.6 on; which commands took their place is told",
        Both(
            line("ls").with(&[("ETCDCTL_API", "2")]),
            "Some(",
            "Some(1)\nunsupported API version: 2",
        ),
    ),
    trap(
        "a secret that is typed quickly shows on the terminal",
        Mended,
        "it is meant not to",
        Test("compat::ctl_terminal::secrets_are_asked_for_alike"),
    ),
    trap(
        "asking for a secret without a terminal complains of stty",
        Mended,
        "the secret is read all the same",
        Lines(&["user add asked", "--user u1 get foo"]),
    ),
    trap(
        "an interrupted command that had begun a file leaves it",
        Mended,
        "half a snapshot is none",
        Test("ctl_tools::an_interrupted_snapshot_leaves_no_file"),
    ),
];

/// Forms of answers.
const FORMS: &[Trap] = &[
    trap(
        "commands that change something do so and only then refuse the form of their answer, with 4",
        Kept,
        "the change is what scripts want; some ignore the code",
        Lines(&["put a 6 -w table", "del a -w table", "txn -w table", "role add r4 -w table"]),
    ),
    trap(
        "get --count-only asks and then refuses every form but fields",
        Kept,
        CODES,
        Lines(&["get a --prefix --count-only", "get a z --count-only -w json"]),
    ),
    trap(
        "64-bit numbers are JSON numbers, larger than some readers take",
        Kept,
        SCRIPTS,
        Lines(&["member list -w json", "get foo -w json"]),
    ),
    trap(
        "member list --hex -w json spells clientURLS so and leaves learners out",
        Kept,
        SCRIPTS,
        Lines(&["member list --hex -w json"]),
    ),
    trap(
        "sentences about members pad ids with blanks, lists do not",
        Kept,
        SCRIPTS,
        Lines(&["member remove NEW", "member list"]),
    ),
    trap(
        "new members without a name stand as =URL in ETCD_INITIAL_CLUSTER",
        Kept,
        SCRIPTS,
        Test("compat::ctl::scripts_cannot_tell_programs_and_servers_apart"),
    ),
    trap(
        "a blank ends each alarm, a comma the state of a server without errors",
        Kept,
        SCRIPTS,
        Lines(&["alarm list", "endpoint status", "endpoint health"]),
    ),
    trap(
        "the fields of a role have two blanks behind PermType, and no bracket closes [k, <open ended>",
        Kept,
        SCRIPTS,
        Lines(&["role get r1 -w fields", "role get r1", "role revoke-permission r1 k --from-key"]),
    ),
    trap("move-leader -w json prints {}", Kept, SCRIPTS, Test(THREE)),
    trap(
        "endpoint health prints servers in the order they answer",
        Kept,
        "any order must be reckoned with",
        Test(THREE),
    ),
    trap("member promote breaks down in every form but simple", Mended, CRASH, Test(THREE)),
    trap(
        "alarm disarm -w fields breaks down after the alarm is gone",
        Mended,
        CRASH,
        Both(line("alarm disarm -w fields"), "panic: ", "Some(0)\n\"ClusterID\" : "),
    ),
    trap(
        "endpoint status of 3.6 puts new columns between the old",
        Mended,
        "scripts count columns: what servers tell more stands behind them, in the table and the fields only",
        Test(
            "cli::ctl::print::servers::tests::what_later_releases_tell_stands_behind_what_scripts_know",
        ),
    ),
    trap(
        "endpoint hashkv tells of a failed server twice",
        Kept,
        SCRIPTS,
        Lines(&["endpoint hashkv -w simple --endpoints=127.0.0.1:1 --command-timeout=300ms"]),
    ),
];

/// Keys and watches.
const KEYS: &[Trap] = &[
    trap(
        "compaction of what is no number ends with 1, not with 128",
        Kept,
        CODES,
        Lines(&["compaction x", "compaction 0x2"]),
    ),
    trap(
        "del of a range without --range says that 3.6 will wait",
        Kept,
        "3.6 waits two seconds, in which scripts time out",
        Lines(&["del b d", "del b d --range"]),
    ),
    trap(
        "watch hands the values to its command inside Go's quotes",
        Kept,
        SCRIPTS,
        Test("ctl::watches_run_commands_with_the_event_in_the_environment"),
    ),
    trap(
        "watch prints progress as a line of its own in every form",
        Kept,
        SCRIPTS,
        Test("compat::ctl_watches::typed_watches_are_alike"),
    ),
    trap(
        "txn cuts words in single quotes to the number of words",
        Mended,
        "what is stored is not what was typed",
        Test(TXN_FAULTS),
    ),
    trap("txn breaks down at conditions about leases", Mended, CRASH, Test(TXN_FAULTS)),
    trap("txn breaks down at an operator it does not know", Mended, CRASH, Test(TXN_FAULTS)),
    trap(
        "txn prints usage for a wrong flag, and waits for ever when it is asked for help",
        Mended,
        "the line that is wrong is told instead",
        Test(TXN_FAULTS),
    ),
    trap(
        "txn passes over words behind a condition, and takes a quote that is never closed",
        Kept,
        "transactions in files were never looked at more strictly",
        Test(ALIKE),
    ),
];

/// Leases, locks and elections.
const LEASES: &[Trap] = &[
    trap(
        "timetolive of no lease and keep-alive of one that ends succeed",
        Kept,
        CODES,
        Lines(&["lease timetolive 404", "lease keep-alive 1234"]),
    ),
    trap(
        "keep-alive --once of no lease ends with 2, other requests with 1",
        Kept,
        CODES,
        Lines(&["lease keep-alive 1234 --once"]),
    ),
    trap(
        "keep-alive takes a lease for expired when no server answers",
        Mended,
        "a lease that lives is not expired; the code is that of a bad connection",
        Test(LEASE_FAULTS),
    ),
    trap(
        "revoke -w protobuf revokes and then fails",
        Mended,
        "it has succeeded",
        Test(LEASE_FAULTS),
    ),
    trap(
        "lock and elect leave their lease behind",
        Mended,
        "it only counts against the server's room",
        Test(LEASE_FAULTS),
    ),
    trap(
        "a lock inside a lock sees the key of the outer one",
        Mended,
        "a command that looks at its lock looks at the wrong one",
        Test(LEASE_FAULTS),
    ),
    trap(
        "flags behind the name of a lock are etcdctl's unless two dashes stand before",
        Kept,
        "scripts have the dashes",
        Test("compat::ctl_leases::commands_run_under_locks_alike"),
    ),
];

/// Members, users and tools.
const CLUSTER: &[Trap] = &[
    trap(
        "--cluster asks for the members without the user (3.5.8)",
        Mended,
        "later releases send it as well",
        Lines(&["--user u1:pw1 endpoint status -w table --cluster --command-timeout=300ms"]),
    ),
    trap(
        "a dead first endpoint makes status wait (3.5)",
        Mended,
        "every server is asked on a connection of its own",
        Test("ctl_connect::endpoints_that_hang_refuse_or_are_gone_hold_nothing_up"),
    ),
    trap(
        "a wrong password ends with 2 and not with 1",
        Kept,
        CODES,
        Lines(&["--user root:bad get foo"]),
    ),
    trap(
        "auth enable makes the role root and gives it",
        Kept,
        "instructions for setting up users rely on it",
        Lines(&["auth enable"]),
    ),
    trap(
        "make-mirror says nothing when it is stopped, and dies of the signal",
        Kept,
        CODES,
        Test("compat::ctl_mirror::mirrors_are_alike"),
    ),
    trap(
        "make-mirror fails at a transaction of more changes than the destination takes (3.5)",
        Mended,
        "--max-txn-ops of 3.6 sends them in parts",
        Test("ctl_tools::a_mirror_splits_large_transactions"),
    ),
    trap(
        "an interrupted check datascale leaves its keys",
        Mended,
        "the next one would refuse to begin",
        Test("ctl_tools::an_interrupted_check_leaves_nothing"),
    ),
    trap(
        "check draws its progress into the output",
        Mended,
        "only people at a terminal want it, beside the output",
        Test("compat::ctl_mirror::checks_say_the_same"),
    ),
    trap(
        "snapshot status and restore still work in 3.5",
        Mended,
        "3.6 took them out; who does it is told",
        Both(line("snapshot status s.db"), "Some(1)\n", "Some(4)\nError: snapshot files are"),
    ),
    trap(
        "completion powershell",
        Mended,
        "refused: it cannot be tried where this tool runs",
        Both(
            line("completion powershell"),
            "Some(0)\n",
            "Some(4)\nError: completion for powershell",
        ),
    ),
];

/// All of them.
pub(super) const ALL: &[&[Trap]] = &[SETTINGS, FORMS, KEYS, LEASES, CLUSTER];
