//! `get`, `put`, `del`.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use tonic::Response;

use super::failure::{Exit, Failure};
use super::flags::{Parsed, Values};
use super::print::{Answer, Format, Look, render};
use super::session::{Environment, Session};
use super::show;
use crate::cli::go;
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse,
};
use crate::types::range::{UNBOUNDED, prefix_end};

const GET_ARGUMENTS: &str =
    "get command needs one argument as key and an optional argument as range_end";
pub(super) const PUT_ARGUMENTS: &str =
    "put command needs 1 argument and input from stdin or 2 arguments";
const DEL_ARGUMENTS: &str =
    "del command needs one argument as key and an optional argument as range_end";
const NOTICE: &str = "In etcd v3.6, the operation will be suspended for a few seconds to provide the \
                      user time to verify range.";

pub(super) async fn get(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let request = get_request(&parsed.values, &parsed.arguments)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let shown = || {
        // Asked first, refused afterwards: the order is the original's.
        if parsed.values.on("count-only") && session.format != Format::Fields {
            return Err(Failure::bad_args("--count-only is only for `--write-out=fields`"));
        }
        let value_only = parsed.values.on("print-value-only");
        if value_only && session.format != Format::Simple {
            return Err(Failure::bad_args("print-value-only is only for `--write-out=simple`"));
        }
        Ok(Look { hex: session.hex, value_only })
    };
    let answer = if !parsed.values.on("stream") {
        session.ask(session.client.kv().range(request)).await?
    } else if session.format == Format::Simple {
        let print =
            |piece: RangeResponse| show(&render(Format::Simple, shown()?, &Answer::Get(&piece))?);
        return stream(&session, request, print).await;
    } else {
        let mut whole = RangeResponse::default();
        let gather = |piece: RangeResponse| {
            // The pieces are those of one message; all but the keys stand in the last.
            let mut kvs = std::mem::take(&mut whole.kvs);
            kvs.extend(piece.kvs);
            whole = RangeResponse { kvs, ..piece };
            Ok(())
        };
        stream(&session, request, gather).await?;
        whole
    };
    show(&render(session.format, shown()?, &Answer::Get(&answer))?)
}

/// Asks for a range in pieces and hands on each as it comes.
async fn stream(
    session: &Session,
    request: RangeRequest,
    mut take: impl FnMut(RangeResponse) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pieces = async {
        let mut pieces = session.client.kv().range_stream(request).await?.into_inner();
        while let Some(piece) = pieces.message().await? {
            let taken = take(piece.range_response.unwrap_or_default());
            if taken.is_err() {
                return Ok(Response::new(taken));
            }
        }
        Ok(Response::new(Ok(())))
    };
    session.ask(pieces).await?
}

pub(super) async fn put(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let request = put_request(&parsed.values, &parsed.arguments)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    session.check_size(&request)?;
    let answer = session.ask(session.client.kv().put(request)).await?;
    let look = Look { hex: session.hex, value_only: false };
    show(&render(session.format, look, &Answer::Put(&answer))?)
}

pub(super) async fn del(parsed: &mut Parsed, environment: &Environment) -> Result<(), Failure> {
    let request = del_request(&parsed.values, &parsed.arguments)?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let answer = session.ask(session.client.kv().delete_range(request)).await?;
    let look = Look { hex: session.hex, value_only: false };
    show(&render(session.format, look, &Answer::Del(&answer))?)
}

pub(super) async fn compaction(
    parsed: &mut Parsed,
    environment: &Environment,
) -> Result<(), Failure> {
    let [revision] = parsed.arguments.as_slice() else {
        return Err(Failure::bad_args("compaction command needs 1 argument"));
    };
    let revision = go::parse_int(&revision.to_string_lossy(), 10)
        .map_err(|why| Failure::new(Exit::Error, why))?;
    let session = Session::open(&mut parsed.values, environment).await?;
    let request = CompactionRequest { revision, physical: parsed.values.on("physical") };
    session.ask(session.client.kv().compact(request)).await?;
    show(format!("compacted revision {revision}\n").as_bytes())
}

/// The bytes of an argument.
pub(super) fn bytes(argument: &OsString) -> Bytes {
    Bytes::copy_from_slice(argument.as_bytes())
}

pub(super) fn get_request(
    values: &Values,
    arguments: &[OsString],
) -> Result<RangeRequest, Failure> {
    let Some(key) = arguments.first() else { return Err(Failure::bad_args(GET_ARGUMENTS)) };
    check_one_range(values)?;
    if values.on("keys-only") && values.on("count-only") {
        let text = "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(text));
    }
    let serializable = match values.text("consistency") {
        "l" => false,
        "s" => true,
        other => {
            let text = format!("unknown consistency flag {}", go::quote(other.as_bytes()));
            return Err(Failure::new(Exit::BadFeature, text));
        }
    };
    let (key, range_end) = range(values, key, arguments.get(1))?;
    let (min_create_revision, max_create_revision) = bounds(values, "create", "Create")?;
    let (min_mod_revision, max_mod_revision) = bounds(values, "mod", "Mod")?;
    let (order, target) = sorting(values)?;
    Ok(RangeRequest {
        key,
        range_end,
        limit: values.number("limit"),
        revision: values.number("rev").max(0),
        sort_order: order.into(),
        sort_target: target.into(),
        serializable,
        keys_only: values.on("keys-only"),
        count_only: values.on("count-only"),
        min_mod_revision,
        max_mod_revision,
        min_create_revision,
        max_create_revision,
    })
}

/// The revisions between which keys must have been written to be wanted; zero is no bound.
fn bounds(values: &Values, flag: &str, name: &str) -> Result<(i64, i64), Failure> {
    let bound = |end: &str| values.number(&format!("{end}-{flag}-rev")).max(0);
    let (min, max) = (bound("min"), bound("max"));
    if max > 0 && min > max {
        let text = format!("getMin{name}Rev(={min}) > getMax{name}Rev(={max})");
        return Err(Failure::new(Exit::BadFeature, text));
    }
    Ok((min, max))
}

fn sorting(values: &Values) -> Result<(SortOrder, SortTarget), Failure> {
    let (order, target) = (values.text("order"), values.text("sort-by"));
    let bad = |what, value| Failure::new(Exit::BadFeature, format!("bad sort {what} {value}"));
    let order = match order.to_uppercase().as_str() {
        "" => SortOrder::None,
        "ASCEND" => SortOrder::Ascend,
        "DESCEND" => SortOrder::Descend,
        _ => return Err(bad("order", order)),
    };
    let target = match target.to_uppercase().as_str() {
        "" | "KEY" => SortTarget::Key,
        "CREATE" => SortTarget::Create,
        "MODIFY" => SortTarget::Mod,
        "VALUE" => SortTarget::Value,
        "VERSION" => SortTarget::Version,
        _ => return Err(bad("target", target)),
    };
    // The order keys have anyway: asked for, it would make the server read all before the limit.
    let natural = order == SortOrder::Ascend && target == SortTarget::Key;
    Ok((if natural { SortOrder::None } else { order }, target))
}

fn check_one_range(values: &Values) -> Result<(), Failure> {
    if values.on("prefix") && values.on("from-key") {
        let text = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(text));
    }
    Ok(())
}

/// Key and end of the range that arguments, `--prefix` and `--from-key` describe.
fn range(
    values: &Values,
    key: &OsString,
    end: Option<&OsString>,
) -> Result<(Bytes, Bytes), Failure> {
    let (prefix, from) = (values.on("prefix"), values.on("from-key"));
    let key = bytes(key);
    match end {
        Some(_) if prefix || from => Err(Failure::bad_args(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )),
        Some(end) => Ok((key, bytes(end))),
        None => Ok(open_range(key, prefix, from)),
    }
}

/// The range of a single argument.
pub(super) fn open_range(key: Bytes, prefix: bool, from: bool) -> (Bytes, Bytes) {
    let everything = Bytes::from_static(UNBOUNDED);
    if !prefix && !from {
        return (key, Bytes::new());
    }
    if key.is_empty() {
        return (everything.clone(), everything);
    }
    let end = if prefix { prefix_end(&key) } else { None };
    (key, end.unwrap_or(everything))
}

pub(super) fn put_request(values: &Values, arguments: &[OsString]) -> Result<PutRequest, Failure> {
    let Some(key) = arguments.first() else { return Err(Failure::bad_args(PUT_ARGUMENTS)) };
    let ignore_value = values.on("ignore-value");
    let value = match arguments.get(1) {
        Some(_) if ignore_value => {
            let text = "put command needs only 1 argument when 'ignore-value' is set";
            return Err(Failure::bad_args(text));
        }
        None if ignore_value => Bytes::new(),
        Some(value) => bytes(value),
        None => piped_value()?,
    };
    let lease = go::parse_int(values.text("lease"), 16)
        .map_err(|why| Failure::bad_args(format!("bad lease ID ({why}), expecting ID in Hex")))?;
    Ok(PutRequest {
        key: bytes(key),
        value,
        lease,
        prev_kv: values.on("prev-kv"),
        ignore_value,
        ignore_lease: values.on("ignore-lease"),
    })
}

fn piped_value() -> Result<Bytes, Failure> {
    let mut value = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut value) {
        Ok(read) if read > 0 => Ok(Bytes::from(value)),
        _ => Err(Failure::bad_args(PUT_ARGUMENTS)),
    }
}

pub(super) fn del_request(
    values: &Values,
    arguments: &[OsString],
) -> Result<DeleteRangeRequest, Failure> {
    let (Some(key), None) = (arguments.first(), arguments.get(2)) else {
        return Err(Failure::bad_args(DEL_ARGUMENTS));
    };
    check_one_range(values)?;
    let end = arguments.get(1);
    let (key, range_end) = range(values, key, end)?;
    if end.is_some() && !values.on("range") {
        eprintln!("{NOTICE}");
    }
    Ok(DeleteRangeRequest { key, range_end, prev_kv: values.on("prev-kv") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ctl::commands::Command;
    use crate::cli::ctl::flags::parse;

    fn parsed(command: &str, line: &str) -> Parsed {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words, &Command::find(command).unwrap().all_flags()).unwrap()
    }

    fn read(line: &str) -> Result<RangeRequest, Failure> {
        let parsed = parsed("get", line);
        get_request(&parsed.values, &parsed.arguments)
    }

    #[test]
    fn ranges_are_what_the_flags_say() {
        let ends = |line| read(line).map(|request| (request.key, request.range_end)).unwrap();
        assert_eq!(ends("a"), ("a".into(), "".into()));
        assert_eq!(ends("a c"), ("a".into(), "c".into()));
        assert_eq!(ends("a --prefix"), ("a".into(), "b".into()));
        assert_eq!(ends("a --from-key"), ("a".into(), "\0".into()));
        assert_eq!(ends(" --prefix"), ("\0".into(), "\0".into()));
    }

    #[test]
    fn options_reach_the_request() {
        let line =
            "a --limit 3 --rev 7 --consistency s --order descend --sort-by modify --keys-only";
        let request = read(line).unwrap();
        assert_eq!((request.limit, request.revision), (3, 7));
        assert!(request.serializable && request.keys_only);
        assert_eq!(request.sort_order(), SortOrder::Descend);
        assert_eq!(request.sort_target(), SortTarget::Mod);
        assert_eq!(read("a --order ASCEND").unwrap().sort_order(), SortOrder::None);
        assert_eq!(read("a --rev -5").unwrap().revision, 0);
        let line = "a --min-mod-rev 1 --max-mod-rev 2 --min-create-rev 3 --max-create-rev 4";
        let bounds = read(line).unwrap();
        assert_eq!((bounds.min_mod_revision, bounds.max_mod_revision), (1, 2));
        assert_eq!((bounds.min_create_revision, bounds.max_create_revision), (3, 4));
        assert_eq!(read("a --min-mod-rev 7").unwrap().max_mod_revision, 0, "no bound");
    }

    #[test]
    fn contradictions_are_refused_with_the_exit_code_of_the_original() {
        for (line, exit) in [
            ("a --prefix --from-key", Exit::BadArgs),
            ("a --keys-only --count-only", Exit::BadArgs),
            ("a b --prefix", Exit::BadArgs),
            ("a --consistency x", Exit::BadFeature),
            ("a --order x", Exit::BadFeature),
            ("a --sort-by x", Exit::BadFeature),
            ("a --min-mod-rev 5 --max-mod-rev 4", Exit::BadFeature),
            ("a --min-create-rev 5 --max-create-rev 4", Exit::BadFeature),
        ] {
            assert_eq!(read(line).unwrap_err().exit, exit, "{line}");
        }
        let lease = parsed("put", "a b --lease zz");
        let message = put_request(&lease.values, &lease.arguments).unwrap_err().message.unwrap();
        assert_eq!(
            message,
            "bad lease ID (strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex"
        );
    }
}
