//! `txn`, `compaction` and the selectors of `get`: tables, and what they cannot show.

use crate::compat::assert_same;
use crate::compat::ctl::{Line, line, run};
use crate::support::reference;
use crate::support::server::{Kind, Server};

const fn txn(input: &'static str) -> Line {
    line("txn").typing(input)
}

const fn typed(arguments: &'static str, input: &'static str) -> Line {
    line(arguments).typing(input)
}

/// Transactions, errors included, each with what it is typed as.
pub(super) const TRANSACTIONS: &[Line] = &[
    line("put foo bar"),
    txn("\n\n\n"),
    txn("mod(\"foo\") > \"0\"\n\nput foo baz --prev-kv\nget foo\n\nget foo\ndel foo\n\n"),
    txn("mod(\"foo\") = \"0\"\n\nput foo baz\n\nget foo\ndel nothing --prev-kv\n\n"),
    typed("txn -w json", "ver(\"foo\") != \"0\"\n\nput a 1 --prev-kv\nget a\ndel b\n\n\n"),
    typed("txn -w json", "version(\"foo\") < \"0\"\n\n\nget foo\n\n"),
    typed("txn -w json", "\n\n\n"),
    typed("txn -w fields", "c(\"foo\") = \"2\"\n\nput a 2 --prev-kv\nget a\ndel b\n\n\n"),
    typed("txn -w fields", "create(\"foo\") = \"3\"\n\n\nget foo\ndel a --prev-kv\n\n"),
    typed("txn -w table", "\nput table 1\n\n\n"),
    typed("txn -w bogus", "\nput bogus 1\n\n\n"),
    line("get table"),
    typed("txn --hex", "m(\"foo\") > \"0\"\n\nget foo\n\n\n"),
    typed("txn -i", "val(\"foo\") = \"baz\"\n\nput foo qux\n\nget foo\n\n"),
    typed("txn --interactive", "value(\"foo\") = \"no\"\n\nput foo qux\n\nget foo\n\n"),
    typed("txn -i", "value(\"foo\") = \"no\"\n"),
    line("txn extra"),
    line("txn --bogus"),
    // Conditions.
    txn("mod( \"a\") = \"0\" and more\n\n\n\n"),
    txn("  mod(`a`)   >   `0`  \n \n\t\n\n"),
    txn("val(\"foo\") = \"q\\x75\\170\"\n\n\n\n"),
    txn("val(\"foo\") = \"q\\u0075x\"\n\n\n\n"),
    txn("mod(\"a\")=\"1\"\n\n\n\n"),
    txn("mod(\"a\" ) = \"1\"\n\n\n\n"),
    txn("mod (\"a\") = \"1\"\n\n\n\n"),
    txn("mod(\"a\") > 5\n\n\n\n"),
    txn("mod(\"a\") >\n\n\n\n"),
    txn("mod(\"a\")\n\n\n\n"),
    txn("mod(a) = \"1\"\n\n\n\n"),
    txn("mod\n\n\n\n"),
    txn("Mod(\"a\") = \"1\"\n\n\n\n"),
    txn("bad(\"a\") = \"1\"\n\n\n\n"),
    txn("mod(\"a\") = \"x\"\n\n\n\n"),
    txn("mod(\"a\") = \"99999999999999999999\"\n\n\n\n"),
    txn("mod(\"a\") = \"-1\"\n\n\n\n"),
    txn("val(\"foo\") = \"q\\qx\"\n\n\n\n"),
    txn("val(\"foo\") = \"open\n\n\n\n"),
    txn("val(\"\") = \"open\"\n\n\n\n"),
    // Changes.
    txn("\nput a \"x\\ty \\\"z\\\"\"\nget a\n\n\n"),
    txn("\nput a 'x'\nget a\n\n\n"),
    txn("\nput a \"un closed\nget a\n\n\n"),
    txn("\nput a \"bad\\q\"\n\n\n"),
    txn("\nput a\"b\" c\nget a\"b\"\n\n\n"),
    txn("\nput \"\" c\n\n\n"),
    txn("\nput a -- -5\nget a\n\n\n"),
    txn("\nput a\n\n\n"),
    txn("\nput\n\n\n"),
    txn("\nput a b c\nget a\n\n\n"),
    txn("\nput a --ignore-value\nget a\n\n\n"),
    txn("\nput a b --ignore-value\n\n\n"),
    txn("\nput missing --ignore-value\n\n\n"),
    txn("\nput a b --lease=404\n\n\n"),
    txn("\nput a b --lease=zz\n\n\n"),
    txn("\nput a b\nput a c\n\n\n"),
    txn("\nbogus a\n\n\n"),
    txn("\nhelp\n\n\n"),
    txn("\ng a\np b 1\nd c\n\n\n"),
    txn("\nget a c --keys-only\n\n\n"),
    txn("\nget a --prefix --print-value-only\n\n\n"),
    txn("\nget a --prefix --count-only\n\n\n"),
    txn("\nget a --prefix --limit 1 --order descend --sort-by modify\n\n\n"),
    txn("\nget a b --prefix\n\n\n"),
    txn("\nget a --prefix --from-key\n\n\n"),
    txn("\nget a --order x\n\n\n"),
    txn("\nget a --consistency x\n\n\n"),
    txn("\nget a --rev 9999\n\n\n"),
    txn("\ndel a b --prev-kv\n\n\n"),
    txn("\ndel a b --range\n\n\n"),
    txn("\ndel a b c\n\n\n"),
    txn("\n\ndel x\n\n"),
    // Cut short.
    txn(""),
    txn("\n\n"),
    txn("\n\nput a b"),
];

/// Histories forgotten, and what is left of them.
pub(super) const COMPACTIONS: &[Line] = &[
    line("put foo 1"),
    line("put foo 2"),
    line("put foo 3"),
    line("compaction"),
    line("compaction 1 2"),
    line("compaction x"),
    line("compaction 0x2"),
    line("compaction 99"),
    line("compaction -- -1"),
    line("compaction 2 -w bogus"),
    line("compaction 2"),
    line("compaction 2"),
    line("compaction 3 --physical -w json"),
    line("compaction 4 -w table"),
    line("compaction 4 -w fields"),
    line("compact 5"),
    line("get foo --rev 2"),
    line("get foo"),
];

/// Selectors of later releases, which servers have always known.
pub(super) const SELECTORS: &[Line] = &[
    line("put a 1"),
    line("put b 2"),
    line("put a 3"),
    line("put c 4"),
    line("get '' --prefix --min-mod-rev 4"),
    line("get '' --prefix --max-mod-rev 3"),
    line("get '' --prefix --min-create-rev 3 -w json"),
    line("get '' --prefix --max-create-rev 2 -w fields"),
    line("get '' --prefix --min-create-rev 3 --max-create-rev 3 --keys-only"),
    line("get '' --prefix --min-mod-rev 4 --max-mod-rev 3"),
    line("get '' --prefix --min-create-rev 9 --max-create-rev 8"),
    line("get '' --prefix --max-mod-rev=x"),
    typed("txn", "\nget '' --prefix --min-mod-rev 5\n\n\n"),
];

fn play(program: &Kind, server: &Kind, lines: &[Line]) -> Vec<String> {
    let server = Server::start(server);
    lines.iter().map(|line| run(program, &server, &[], line)).collect()
}

#[test]
fn selectors_of_later_releases_work_with_every_server() {
    let ours = play(&Kind::Ours, &Kind::Ours, SELECTORS);
    let seen = |place: usize| ours[place].split_once('\n').unwrap().1;
    assert_eq!(seen(4), "a\n3\nc\n4\n");
    assert_eq!(seen(5), "b\n2\n");
    assert!(seen(9).contains("Error: getMinModRev(=4) > getMaxModRev(=3)"), "{}", seen(9));
    assert!(ours[9].contains("Some(4)"), "{}", ours[9]);
    let Some(folder) = reference::folder() else { return };
    assert_same(&play(&Kind::Ours, &Kind::Reference(folder), SELECTORS), &ours);
}

#[test]
fn protobuf_answers_are_the_same_bytes() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    for kind in [&real, &Kind::Ours] {
        let server = Server::start(kind);
        let read = typed("txn -w protobuf", "mod(\"a\") = \"0\"\n\nget a\ndel a\n\n\n");
        let ours = run(&Kind::Ours, &server, &[], &read);
        assert_eq!(run(&real, &server, &[], &read), ours);
    }
}

#[test]
fn a_range_in_pieces_is_the_range_where_the_server_has_them() {
    let server = Server::start(&Kind::Ours);
    let run = |text: &'static str| {
        let record = run(&Kind::Ours, &server, &[], &line(text));
        record.split_once(" => ").unwrap().1.to_owned()
    };
    let input: String = (0..100).map(|key| format!("put key{key:03} {key}\n")).collect();
    let many = line("txn").typing(Box::leak(format!("\n{input}\n\n").into()));
    assert!(self::run(&Kind::Ours, &server, &[], &many).contains("SUCCESS"));
    for (stream, whole) in [
        ("get key --prefix --stream", "get key --prefix"),
        ("get key --prefix --stream -w json", "get key --prefix -w json"),
        ("get key --prefix --stream -w fields --limit 30", "get key --prefix -w fields --limit 30"),
        ("get key --prefix --stream -w protobuf", "get key --prefix -w protobuf"),
        ("get key --prefix --stream --keys-only", "get key --prefix --keys-only"),
        ("get key --prefix --stream --print-value-only", "get key --prefix --print-value-only"),
        ("get key --prefix --stream -w table", "get key --prefix -w table"),
        ("get key --prefix --stream --count-only", "get key --prefix --count-only"),
        ("get none --stream", "get none"),
        ("get key --stream --rev 99", "get key --rev 99"),
    ] {
        assert_eq!(run(stream), run(whole), "{stream}");
    }
    let sorted = run("get key --prefix --stream --order descend");
    assert!(sorted.contains("RangeStream does not support custom sort orders"), "{sorted}");
    let Some(folder) = reference::folder() else { return };
    let older = Server::start(&Kind::Reference(folder));
    let refused = self::run(&Kind::Ours, &older, &[], &line("get key --stream"));
    assert!(refused.contains("unknown method RangeStream"), "{refused}");
    assert!(refused.contains("Some(1)"), "{refused}");
}

/// Faults of the original that nobody can depend on, mended here: a transaction, part of what the
/// original makes of it, and what ours does. What scripts may depend on is kept and stands in the
/// tables above: words behind a condition are passed over, as is a quote that is never closed;
/// faults of changes speak of a `compare request`; a bad revision ends `compaction` with 1.
const MENDED: &[(Line, &str, &str)] = &[
    // It panics on every condition about leases.
    (txn("lease(\"foo\") = \"0\"\n\n\n\n"), "panic: bad value", "Some(0)\nSUCCESS\n"),
    (txn("lease(\"foo\") > \"1f\"\n\n\n\n"), "panic: bad value", "Some(0)\nFAILURE\n"),
    // It panics on an unknown operator.
    (
        txn("mod(\"foo\") == \"1\"\n\n\n\n"),
        "panic: Unknown result op",
        "Some(3)\nError: malformed comparison: mod(\"foo\") == \"1\" (unknown operator ==)",
    ),
    // It cuts words in single quotes to the number of words.
    (txn("\nput q 'abc def'\nget q\n\n\n"), "\nq\na\n", "\nq\nabc def\n"),
    // It prints the whole usage of get where the reason belongs.
    (
        txn("\nget a --bogus\n\n\n"),
        "Usage:",
        "Some(3)\nError: invalid txn request: get a --bogus (unknown flag: --bogus)",
    ),
];

#[test]
fn faults_of_transactions_that_nobody_depends_on_are_mended() {
    let Some(folder) = reference::folder() else { return };
    let real = Kind::Reference(folder);
    let server = Server::start(&real);
    run(&real, &server, &[], &line("put foo bar"));
    for (line, theirs, ours) in MENDED {
        let record = run(&real, &server, &[], line);
        assert!(record.contains(theirs), "mended meanwhile? {record}");
        let record = run(&Kind::Ours, &server, &[], line);
        assert!(record.contains(ours), "{record}");
    }
    // It waits for ever when it is asked for help.
    let help = txn("\nget a --help\n\n\n");
    let record = run(&Kind::Ours, &server, &[], &help);
    assert!(record.contains("Some(3)\nError: invalid txn request: get a --help"), "{record}");
}
