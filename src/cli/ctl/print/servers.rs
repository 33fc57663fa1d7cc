//! How servers do and what they hold.

use super::cluster::texts;
use super::fields::{self, field};
use super::json::{self, Object, Switch, array, text};
use super::{Format, header_of, table};
use crate::cli::ctl::failure::Failure;
use crate::cli::go::quote;
use crate::proto::etcdserverpb::{HashKvResponse, StatusResponse};

/// How one server answered when it was asked how it does.
#[derive(Debug)]
pub(in crate::cli::ctl) struct ServerStatus {
    pub(in crate::cli::ctl) endpoint: String,
    pub(in crate::cli::ctl) status: StatusResponse,
    /// When its certificate expires, in words; nothing without TLS.
    pub(in crate::cli::ctl) expiry: Option<String>,
}

pub(in crate::cli::ctl) fn statuses(
    format: Format,
    all: &[ServerStatus],
) -> Result<String, Failure> {
    match format {
        Format::Simple => Ok(all.iter().map(|one| status_row(one).join(", ") + "\n").collect()),
        Format::Json => Ok(list_or_null(all.iter().map(status_json))),
        Format::Fields => Ok(all.iter().map(status_fields).collect()),
        Format::Table => Ok(status_table(all)),
        Format::Protobuf => Err(Failure::unsupported("protobuf")),
    }
}

/// Nothing at all is not an empty list to Go.
fn list_or_null(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "null\n".to_owned() } else { array(items.into_iter()) + "\n" }
}

fn status_row(one: &ServerStatus) -> Vec<String> {
    let (status, header) = (&one.status, header_of(one.status.header.as_ref()));
    vec![
        one.endpoint.clone(),
        format!("{:x}", header.member_id),
        status.version.clone(),
        size(u64::try_from(status.db_size).unwrap_or_default()),
        (status.leader == header.member_id).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
    ]
}

/// What version 3.6 added to the state of a server. Its own table has these columns between the others;
/// here they come behind them, so that scripts for older ones find every column where it was.
const LATER: [&str; 6] = [
    "Storage Version",
    "In Use",
    "Percentage Not In Use",
    "Quota",
    "Downgrade Target Version",
    "Downgrade Enabled",
];

/// Whether a server tells what version 3.6 added.
fn is_later(status: &StatusResponse) -> bool {
    !status.storage_version.is_empty()
        || status.db_size_quota != 0
        || status.downgrade_info.is_some()
}

fn later_cells(status: &StatusResponse) -> Vec<String> {
    if !is_later(status) {
        return vec![String::new(); LATER.len()];
    }
    let bytes = |bytes: i64| size(u64::try_from(bytes).unwrap_or_default());
    // A server may tell any numbers.
    let used = (i128::from(status.db_size_in_use) * 100).checked_div(status.db_size.into());
    let used = used.unwrap_or(100);
    let downgrade = status.downgrade_info.clone().unwrap_or_default();
    vec![
        status.storage_version.clone(),
        bytes(status.db_size_in_use),
        format!("{}%", 100 - used),
        bytes(status.db_size_quota),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ]
}

/// The table of the original. Servers that tell more, and those reached by TLS, add columns at its end.
fn status_table(all: &[ServerStatus]) -> String {
    let mut headers = vec![
        "Endpoint",
        "ID",
        "Version",
        "DB Size",
        "Is Leader",
        "Is Learner",
        "Raft Term",
        "Raft Index",
        "Raft Applied Index",
        "Errors",
    ];
    let later = all.iter().any(|one| is_later(&one.status));
    if later {
        headers.extend(LATER);
    }
    let encrypted = all.iter().any(|one| one.expiry.is_some());
    if encrypted {
        headers.push("Cert Expires");
    }
    let row = |one: &ServerStatus| {
        let mut row = status_row(one);
        if later {
            row.extend(later_cells(&one.status));
        }
        if encrypted {
            row.push(one.expiry.clone().unwrap_or_default());
        }
        row
    };
    table::draw(&headers, &all.iter().map(row).collect::<Vec<_>>())
}

fn status_json(one: &ServerStatus) -> String {
    let status = &one.status;
    let mut object = Object::default()
        .always("header", json::header(status.header.as_ref()))
        .unless_empty("version", text(&status.version), status.version.is_empty())
        .number("dbSize", status.db_size)
        .number("leader", status.leader)
        .number("raftIndex", status.raft_index)
        .number("raftTerm", status.raft_term)
        .number("raftAppliedIndex", status.raft_applied_index)
        .unless_empty("errors", texts(&status.errors), status.errors.is_empty())
        .number("dbSizeInUse", status.db_size_in_use)
        .number("isLearner", Switch(status.is_learner))
        .unless_empty(
            "storageVersion",
            text(&status.storage_version),
            status.storage_version.is_empty(),
        )
        .number("dbSizeQuota", status.db_size_quota);
    if let Some(downgrade) = &status.downgrade_info {
        let target = &downgrade.target_version;
        let info = Object::default().number("enabled", Switch(downgrade.enabled)).unless_empty(
            "targetVersion",
            text(target),
            target.is_empty(),
        );
        object = object.always("downgradeInfo", info.end());
    }
    let endpoint = text(&one.endpoint);
    Object::default().always("Endpoint", endpoint).always("Status", object.end()).end()
}

fn status_fields(one: &ServerStatus) -> String {
    let (status, mut out) = (&one.status, String::new());
    fields::header(&mut out, status.header.as_ref());
    field(&mut out, "Version", quote(status.version.as_bytes()));
    field(&mut out, "DBSize", status.db_size);
    field(&mut out, "Leader", status.leader);
    field(&mut out, "IsLearner", status.is_learner);
    field(&mut out, "RaftIndex", status.raft_index);
    field(&mut out, "RaftTerm", status.raft_term);
    field(&mut out, "RaftAppliedIndex", status.raft_applied_index);
    field(&mut out, "Errors", format!("[{}]", status.errors.join(" ")));
    if is_later(status) {
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        field(&mut out, "StorageVersion", quote(status.storage_version.as_bytes()));
        field(&mut out, "DBSizeInUse", status.db_size_in_use);
        field(&mut out, "DBSizeQuota", status.db_size_quota);
        field(&mut out, "DowngradeTargetVersion", quote(downgrade.target_version.as_bytes()));
        field(&mut out, "DowngradeEnabled", downgrade.enabled);
    }
    field(&mut out, "Endpoint", quote(one.endpoint.as_bytes()));
    out.push('\n');
    out
}

pub(in crate::cli::ctl) fn hashes(
    format: Format,
    all: &[(String, HashKvResponse)],
) -> Result<String, Failure> {
    let row = |(endpoint, answer): &(String, HashKvResponse)| {
        vec![endpoint.clone(), answer.hash.to_string()]
    };
    match format {
        Format::Simple => Ok(all.iter().map(|one| row(one).join(", ") + "\n").collect()),
        Format::Json => Ok(list_or_null(all.iter().map(hash_json))),
        Format::Fields => Ok(all.iter().map(hash_fields).collect()),
        Format::Table => Ok(hash_table(all)),
        Format::Protobuf => Err(Failure::unsupported("protobuf")),
    }
}

/// Servers from version 3.6 on tell up to which revision they have hashed.
fn hash_table(all: &[(String, HashKvResponse)]) -> String {
    let later = all.iter().any(|(_, answer)| answer.hash_revision != 0);
    let row = |(endpoint, answer): &(String, HashKvResponse)| {
        let revision = later.then(|| answer.hash_revision.to_string());
        [endpoint.clone(), answer.hash.to_string()].into_iter().chain(revision).collect()
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let headers = ["Endpoint", "Hash", "Hash Revision"];
    table::draw(if later { &headers } else { &headers[..2] }, &rows)
}

fn hash_json((endpoint, answer): &(String, HashKvResponse)) -> String {
    let object = Object::default()
        .always("header", json::header(answer.header.as_ref()))
        .number("hash", answer.hash)
        .number("compact_revision", answer.compact_revision)
        .number("hash_revision", answer.hash_revision);
    Object::default().always("Endpoint", text(endpoint)).always("HashKV", object.end()).end()
}

fn hash_fields((endpoint, answer): &(String, HashKvResponse)) -> String {
    let mut out = String::new();
    fields::header(&mut out, answer.header.as_ref());
    field(&mut out, "Endpoint", quote(endpoint.as_bytes()));
    field(&mut out, "Hash", answer.hash);
    if answer.hash_revision != 0 {
        field(&mut out, "HashRevision", answer.hash_revision);
    }
    out.push('\n');
    out
}

/// A size for people, in thousands: `20 kB`, `1.5 MB`.
pub(in crate::cli::ctl) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    // Rounding at most changes the last digit shown.
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    let rounded = (value * 10.0 + 0.5).floor() / 10.0;
    if rounded < 10.0 { format!("{rounded:.1} {name}") } else { format!("{rounded:.0} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::DowngradeInfo;

    #[test]
    fn sizes_are_rounded_as_the_original_rounds_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (20_480, "20 kB"),
            (24_576, "25 kB"),
            (1_540_000, "1.5 MB"),
            (2_147_483_648, "2.1 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn servers_with_certificates_add_a_column() {
        let one = |expiry: Option<&str>| ServerStatus {
            endpoint: "e".to_owned(),
            status: StatusResponse::default(),
            expiry: expiry.map(str::to_owned),
        };
        let plain = statuses(Format::Table, &[one(None)]).unwrap();
        assert!(plain.contains("| ERRORS |\n"), "{plain}");
        let mixed = statuses(Format::Table, &[one(None), one(Some("in 29 days"))]).unwrap();
        assert!(mixed.contains("| ERRORS | CERT EXPIRES |\n"), "{mixed}");
        assert!(mixed.contains("|   in 29 days |\n"), "{mixed}");
        assert_eq!(statuses(Format::Json, &[]).unwrap(), "null\n");
    }

    fn of_later_release() -> ServerStatus {
        let status = StatusResponse {
            version: "3.6.0".to_owned(),
            storage_version: "3.6".to_owned(),
            db_size: 20_480,
            db_size_in_use: 12_288,
            db_size_quota: 2_147_483_648,
            downgrade_info: Some(DowngradeInfo {
                enabled: true,
                target_version: "3.5.0".to_owned(),
            }),
            ..StatusResponse::default()
        };
        ServerStatus { endpoint: "e".to_owned(), status, expiry: Some("in 3 days".to_owned()) }
    }

    #[test]
    fn what_later_releases_tell_stands_behind_what_scripts_know() {
        let older = ServerStatus {
            endpoint: "f".to_owned(),
            status: StatusResponse { db_size: 20_480, db_size_in_use: 9, ..Default::default() },
            expiry: None,
        };
        let all = [of_later_release(), older];
        let table = statuses(Format::Table, &all).unwrap();
        let cells = |line: usize| {
            let line = table.lines().nth(line).unwrap();
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            cells(1)[9..],
            [
                "ERRORS",
                "STORAGE VERSION",
                "IN USE",
                "PERCENTAGE NOT IN USE",
                "QUOTA",
                "DOWNGRADE TARGET VERSION",
                "DOWNGRADE ENABLED",
                "CERT EXPIRES"
            ]
        );
        assert_eq!(
            cells(3)[10..],
            ["3.6", "12 kB", "40%", "2.1 GB", "3.5.0", "true", "in 3 days"],
            "{table}"
        );
        assert_eq!(cells(4)[10..], [""; 7], "{table}");
        let simple = statuses(Format::Simple, &all).unwrap();
        assert_eq!(simple.lines().next().unwrap().split(", ").count(), 10, "{simple}");
        let fields = statuses(Format::Fields, &all).unwrap();
        let (later, older) = fields.split_once("\n\n").unwrap();
        for line in [
            "\"StorageVersion\" : \"3.6\"",
            "\"DBSizeInUse\" : 12288",
            "\"DBSizeQuota\" : 2147483648",
            "\"DowngradeTargetVersion\" : \"3.5.0\"",
            "\"DowngradeEnabled\" : true",
        ] {
            assert!(later.contains(line) && !older.contains(line), "{line}\n{fields}");
        }
        let json = statuses(Format::Json, &all).unwrap();
        let end = "\"dbSizeInUse\":12288,\"storageVersion\":\"3.6\",\"dbSizeQuota\":2147483648,\
                   \"downgradeInfo\":{\"enabled\":true,\"targetVersion\":\"3.5.0\"}}}";
        assert!(json.contains(end), "{json}");
    }

    #[test]
    fn a_hash_is_shown_with_its_revision_where_the_server_tells_it() {
        let answer =
            |hash_revision| HashKvResponse { hash: 7, hash_revision, ..Default::default() };
        let of = |format, revision| hashes(format, &[("e".to_owned(), answer(revision))]).unwrap();
        assert!(of(Format::Table, 0).contains("| ENDPOINT | HASH |\n"));
        let later = of(Format::Table, 5);
        assert!(later.contains("| ENDPOINT | HASH | HASH REVISION |\n"), "{later}");
        assert!(later.contains("|        e |    7 |             5 |\n"), "{later}");
        assert!(of(Format::Fields, 5).contains("\"Hash\" : 7\n\"HashRevision\" : 5\n"));
        assert_eq!(of(Format::Simple, 5), "e, 7\n");
    }
}
