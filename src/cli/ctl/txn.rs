//! `txn`: a transaction read from standard input.

use std::ffi::OsString;
use std::io::BufRead;

use super::commands::{Command, STREAM};
use super::failure::{Exit, Failure};
use super::flags::{self, Flag, Parsed};
use super::kv::{self, PUT_ARGUMENTS};
use super::print::{Answer, Look, render};
use super::session::{Environment, Session};
use super::{show, typed};
use crate::cli::go;
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{Compare, RequestOp, TxnRequest};

pub(super) async fn txn(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    if !parsed.arguments.is_empty() {
        return Err(Failure::bad_args("txn command does not accept argument"));
    }
    let session = Session::open(&mut parsed.values, environment).await?;
    let session = session.unhurried(&parsed.values);
    let request = read(&mut std::io::stdin().lock(), parsed.values.on("interactive"))?;
    session.check_size(&request)?;
    let answer = session.ask(session.client.kv().txn(request)).await?;
    let look = Look { hex: session.hex, value_only: false };
    show(&render(session.format, look, &Answer::Txn(&answer))?)
}

pub(super) fn read(input: &mut impl BufRead, interactive: bool) -> Result<TxnRequest, Failure> {
    let prompt = |text: &str| if interactive { show(text.as_bytes()) } else { Ok(()) };
    prompt("compares:\n")?;
    let compare = section(input, compare)?;
    prompt("success requests (get, put, del):\n")?;
    let success = section(input, operation)?;
    prompt("failure requests (get, put, del):\n")?;
    let failure = section(input, operation)?;
    Ok(TxnRequest { compare, success, failure })
}

/// Reads lines up to an empty one. An end without one may have cut the transaction short, so it is
/// a fault.
fn section<T>(
    input: &mut impl BufRead,
    parse: impl Fn(&[u8]) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut parts = Vec::new();
    loop {
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line).map_err(|error| invalid(error.to_string()))?;
        if !line.ends_with(b"\n") {
            return Err(invalid("EOF"));
        }
        match line.trim_ascii() {
            b"" => return Ok(parts),
            line => parts.push(parse(line)?),
        }
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Exit::InvalidInput, message)
}

/// A condition such as `mod("key") > "0"`; what stands behind its value does not count.
fn compare(line: &[u8]) -> Result<Compare, Failure> {
    let text = String::from_utf8_lossy(line);
    let malformed = |why: &str| invalid(format!("malformed comparison: {text}{why}"));
    let Some(place) = line.iter().position(|byte| *byte == b'(') else {
        return Err(malformed(""));
    };
    let (target, terms) = line.split_at(place);
    let target = String::from_utf8_lossy(target);
    let mut found = Terms::default();
    if found.scan(terms.get(1..).unwrap_or_default()).is_none() {
        let (key, value) = (go::quote(&found.key), go::quote(&found.value));
        let operator = &found.operator;
        return Err(malformed(&format!("; got {target}({key}) {operator} {value}")));
    }
    let value = String::from_utf8_lossy(&found.value);
    let number = |base| {
        let fault = |_| invalid(format!("invalid txn compare request: {text}"));
        go::parse_int(&value, base).map_err(fault)
    };
    let union = match target.as_ref() {
        "ver" | "version" => TargetUnion::Version(number(10)?),
        "c" | "create" => TargetUnion::CreateRevision(number(10)?),
        "m" | "mod" => TargetUnion::ModRevision(number(10)?),
        "val" | "value" => TargetUnion::Value(found.value.clone().into()),
        "lease" => TargetUnion::Lease(number(16)?),
        _ => return Err(malformed(&format!(" (unknown target {target})"))),
    };
    let result = match found.operator.as_str() {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        ">" => CompareResult::Greater,
        other => return Err(malformed(&format!(" (unknown operator {other})"))),
    };
    Ok(Compare {
        result: result.into(),
        target: target_of(&union).into(),
        key: found.key.into(),
        range_end: bytes::Bytes::new(),
        target_union: Some(union),
    })
}

fn target_of(union: &TargetUnion) -> CompareTarget {
    match union {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    }
}

/// What stands behind the opening bracket of a condition, as far as it could be read.
#[derive(Default)]
struct Terms {
    key: Vec<u8>,
    operator: String,
    value: Vec<u8>,
}

impl Terms {
    /// Reads in the order of the line; `None` at the first that is not there.
    fn scan(&mut self, text: &[u8]) -> Option<()> {
        let (key, rest) = go::scan_quoted(text.trim_ascii_start())?;
        self.key = key;
        let rest = rest.strip_prefix(b")")?;
        // At least one blank must stand here.
        let terms = rest.trim_ascii_start();
        if terms.len() == rest.len() {
            return None;
        }
        let end = terms.iter().position(u8::is_ascii_whitespace).unwrap_or(terms.len());
        let (operator, rest) = terms.split_at(end);
        self.operator = String::from_utf8_lossy(operator).into_owned();
        (self.value, _) = go::scan_quoted(rest.trim_ascii_start())?;
        Some(())
    }
}

/// A get, put or del with the words it has on a command line.
fn operation(line: &[u8]) -> Result<RequestOp, Failure> {
    let text = String::from_utf8_lossy(line);
    let words = typed::words(line)?;
    let [name, words @ ..] = words.as_slice() else { return Err(unread(&text)) };
    if words.is_empty() {
        return Err(unread(&text));
    }
    let Some(name) = named(name) else {
        return Err(invalid(format!("invalid txn request: {text}")));
    };
    let known = Command::find(name).map_or(&[][..], |command| command.flags).iter();
    let known: Vec<&'static Flag> = known.filter(|flag| flag.name != STREAM.name).collect();
    let parsed = flags::parse(words, &known)
        .map_err(|why| invalid(format!("invalid txn request: {text} ({why})")))?;
    let (values, arguments) = (&parsed.values, &parsed.arguments);
    let request = match name {
        "get" => Request::RequestRange(kv::get_request(values, arguments)?),
        "del" => Request::RequestDeleteRange(kv::del_request(values, arguments)?),
        // The value cannot come from standard input: the transaction does.
        _ if arguments.len() < 2 && !values.on("ignore-value") => {
            return Err(Failure::bad_args(PUT_ARGUMENTS));
        }
        _ => Request::RequestPut(kv::put_request(values, arguments)?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// The original says `compare` here, too.
fn unread(text: &str) -> Failure {
    invalid(format!("invalid txn compare request: {text}"))
}

/// The command a word stands for, which may be shortened.
fn named(word: &OsString) -> Option<&'static str> {
    let word = word.to_str().filter(|word| !word.is_empty())?;
    ["get", "put", "del"].into_iter().find(|name| name.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T, Failure>) -> (Exit, String) {
        let failure = result.err().unwrap();
        (failure.exit, failure.message.unwrap())
    }

    #[test]
    fn conditions_are_read_as_the_original_reads_them() {
        let read = |line: &str| compare(line.as_bytes()).unwrap();
        let condition = read(r#"mod( "a\x00" ) > "0" and more"#.replace(" )", ")").as_str());
        assert_eq!(condition.key, &b"a\0"[..]);
        assert_eq!(condition.result(), CompareResult::Greater);
        assert_eq!(condition.target_union, Some(TargetUnion::ModRevision(0)));
        let lease = read("lease(`k`) != \"1f\"");
        assert_eq!(lease.target(), CompareTarget::Lease);
        assert_eq!(lease.target_union, Some(TargetUnion::Lease(31)));
        assert_eq!(read("val(\"k\") = \"v\"").target_union, Some(TargetUnion::Value("v".into())));
        for (line, fault) in [
            ("garbage", "malformed comparison: garbage"),
            ("mod(foo) > 0", "malformed comparison: mod(foo) > 0; got mod(\"\")  \"\""),
            ("mod(\"a\")=\"1\"", "malformed comparison: mod(\"a\")=\"1\"; got mod(\"a\")  \"\""),
            ("mod(\"a\") > 5", "malformed comparison: mod(\"a\") > 5; got mod(\"a\") > \"\""),
            ("bad(\"a\") = \"b\"", "malformed comparison: bad(\"a\") = \"b\" (unknown target bad)"),
            ("mod(\"a\") = \"x\"", "invalid txn compare request: mod(\"a\") = \"x\""),
            (
                "mod(\"a\") == \"1\"",
                "malformed comparison: mod(\"a\") == \"1\" (unknown operator ==)",
            ),
        ] {
            assert_eq!(refused(compare(line.as_bytes())), (Exit::InvalidInput, fault.to_owned()));
        }
    }

    #[test]
    fn changes_take_the_flags_of_their_commands() {
        let read = |line: &str| operation(line.as_bytes()).unwrap().request.unwrap();
        let Request::RequestPut(put) = read("p a -- -5") else { panic!("no put") };
        assert_eq!((&put.key[..], &put.value[..]), (&b"a"[..], &b"-5"[..]));
        let Request::RequestRange(get) = read("get a --prefix --min-mod-rev 3") else {
            panic!("no get")
        };
        assert_eq!((&get.range_end[..], get.min_mod_revision), (&b"b"[..], 3));
        assert!(matches!(read("del a"), Request::RequestDeleteRange(_)));
        for (line, exit) in [
            ("put", Exit::InvalidInput),
            ("put a", Exit::BadArgs),
            ("bogus a", Exit::InvalidInput),
            ("get a --stream", Exit::InvalidInput),
            ("get a --help", Exit::InvalidInput),
            ("get a --order x", Exit::BadFeature),
        ] {
            assert_eq!(refused(operation(line.as_bytes())).0, exit, "{line}");
        }
    }

    #[test]
    fn three_empty_lines_end_a_transaction_and_less_does_not() {
        let whole = read(&mut &b"mod(\"a\") = \"0\"\n\nput a b\n get a \n\n\n"[..], false).unwrap();
        let lengths = (whole.compare.len(), whole.success.len(), whole.failure.len());
        assert_eq!(lengths, (1, 2, 0));
        for cut in ["", "\n\n", "\n\nput a b", "mod(\"a\") = \"0\"\n\n\nget a\n"] {
            let eof = (Exit::InvalidInput, "EOF".to_owned());
            assert_eq!(refused(read(&mut cut.as_bytes(), false)), eof, "{cut:?}");
        }
    }
}
