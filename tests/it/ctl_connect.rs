//! How our `etcdctl` finds its servers: settings, several endpoints, what it says when it finds none.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::own_network;
use crate::support::pki::{Pki, valid};
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

fn etcdctl(words: &[&str]) -> Command {
    let mut command = Command::new(Kind::Ours.program("etcdctl"));
    command.env_clear().args(words);
    command
}

/// Code, standard output and standard error.
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn flags_hold_over_variables_and_variables_over_the_users_file() {
    let server = Server::start(&Kind::Ours);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etcdctl/config.yml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let run = |text: &str, variable: &str, words: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = etcdctl(words);
        command.env("XDG_CONFIG_HOME", folder.path()).env("ETCDCTL_ENDPOINTS", variable);
        ended(&mut command)
    };
    let dead = "127.0.0.1:1";
    let live = format!("--endpoints={}", server.address());
    assert_eq!(run("endpoints: [127.0.0.1:1]\n", dead, &[&live, "put", "a", "b"]).1, "OK\n");
    let file_only = format!("# mine\nendpoints: {}\nwrite-out: fields\n", server.address());
    assert!(run(&file_only, "", &["get", "a"]).1.contains("\"Value\" : \"b\"\n"));
    let text = file_only.replace(server.address(), dead);
    assert_eq!(run(&text, server.address(), &["get", "a", "-w", "simple"]).1, "a\nb\n");
    let debug = run(&file_only, "", &["get", "a", "--debug", "--hex"]).2;
    let told = format!("ETCDCTL_WRITE_OUT=fields # file {}:3\n", file.display());
    assert!(debug.contains(&told), "{debug}");
    assert!(debug.contains("\nETCDCTL_HEX=true # flag --hex\n"), "{debug}");
    let (code, _, told) = run("endpoint: x\n", "", &["get", "a"]);
    let expected =
        format!("Error: {}:1: unknown key endpoint; did you mean endpoints?\n", file.display());
    assert_eq!((code, told), (Some(128), expected));
    // Help and version look at no settings.
    assert_eq!(run("endpoint: x\n", "", &["version"]).0, Some(0));
}

#[test]
fn on_a_node_with_its_own_certificates_no_flags_are_needed() {
    // The machine's own directory is not touched: the namespace has another in its place.
    let script = "
mkdir copy; cp /etc/hosts /etc/passwd /etc/nsswitch.conf copy/ 2>/dev/null || true
mount -t tmpfs none /etc; cp copy/* /etc/; mkdir /etc/etcd
./etcd cert init --name db1 --config-out /etc/etcd/etcd.conf.yml --data-dir data \\
  --listen-client-urls https://127.0.0.1:3379 --advertise-client-urls https://127.0.0.1:3379 > /dev/null
./etcd --config-file /etc/etcd/etcd.conf.yml > etcd.log 2>&1 &
until grep -q 'ready to serve client requests' etcd.log; do
  kill -0 $! 2>/dev/null || { cat etcd.log >&2; exit 1; }; done
./etcdctl put foo bar
./etcdctl --debug get foo --print-value-only 2>&1 | grep -v '# default'
./etcd cert init --pki-dir other > /dev/null
./etcdctl --endpoints https://127.0.0.1:3379 --cacert other/ca.crt --command-timeout 1s get foo 2>&1 | grep -v '^{' || true
chmod 0 /etc/etcd/pki/clients/admin.key; rm /etc/etcd/pki/clients/admin.key
./etcdctl --debug --command-timeout 100ms get foo 2>&1 | grep ENDPOINTS
kill $!; wait $! || true
";
    let programs = ["etcd", "etcdctl"].map(|name| (name, Kind::Ours.program(name)));
    let Some(printed) = own_network::run(script, &programs) else { return };
    let expected = "OK
ETCDCTL_CACERT=/etc/etcd/pki/ca.crt # follows from /etc/etcd/pki
ETCDCTL_CERT=/etc/etcd/pki/clients/admin.crt # follows from /etc/etcd/pki
ETCDCTL_DEBUG=true # flag --debug
ETCDCTL_ENDPOINTS=[https://127.0.0.1:3379] # follows from /etc/etcd/pki
ETCDCTL_KEY=/etc/etcd/pki/clients/admin.key # follows from /etc/etcd/pki
bar
hint: https://127.0.0.1:3379: its certificate is of an authority that is not trusted here; give the \
authority's certificate with --cacert (from `etcd cert init`: ca.crt)
Error: context deadline exceeded
ETCDCTL_ENDPOINTS=[127.0.0.1:2379] # default
";
    assert_eq!(printed, expected);
}

/// Longer than any test waits: what ends sooner has not waited for it.
const NEVER: [&str; 2] = ["--dial-timeout=1h", "--command-timeout=1h"];

#[test]
fn endpoints_that_hang_refuse_or_are_gone_hold_nothing_up() {
    let server = Server::start(&Kind::Ours);
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let endpoints = format!("--endpoints={silent},127.0.0.1:1,{}", server.address());
    // Wherever it begins.
    for _ in 0..6 {
        let put = ended(&mut etcdctl(&[&NEVER[..], &[&endpoints, "put", "a", "b"]].concat()));
        assert_eq!((put.0, put.1.as_str()), (Some(0), "OK\n"), "{put:?}");
    }
}

#[test]
fn endpoints_share_the_work() {
    let servers = [Server::start(&Kind::Ours), Server::start(&Kind::Ours)];
    for (name, server) in ["one\n", "two\n"].iter().zip(&servers) {
        let endpoints = format!("--endpoints={}", server.address());
        assert_eq!(ended(&mut etcdctl(&[&endpoints, "put", "name", name.trim()])).0, Some(0));
    }
    let both = format!("--endpoints={},{}", servers[0].address(), servers[1].address());
    let ask = || ended(&mut etcdctl(&[&both, "get", "name", "--print-value-only"])).1;
    for name in ["one\n", "two\n"] {
        eventually("an answer of each", || (ask() == name).then_some(()));
    }
}

#[test]
fn a_watch_goes_on_at_another_endpoint() {
    let mut servers = [Server::start(&Kind::Ours), Server::start(&Kind::Ours)];
    let put = |server: &Server, value: &str| {
        let endpoints = format!("--endpoints={}", server.address());
        assert_eq!(ended(&mut etcdctl(&[&endpoints, "put", "k", value])).0, Some(0));
    };
    put(&servers[0], "from 0");
    put(&servers[1], "from 1");
    let both = format!("--endpoints={},{}", servers[0].address(), servers[1].address());
    let mut watch = Process::start(&mut etcdctl(&[&both, "watch", "k", "--rev=1"]));
    let first: usize = watch.wait_line("the first event", |line| {
        line.strip_prefix("from ").and_then(|n| n.parse().ok())
    });
    put(&servers[1 - first], "second");
    servers[first].process.kill();
    watch.wait_line("an event of the other", |line| (line == "second").then_some(()));
    let expected = ["PUT", "k", &format!("from {first}"), "PUT", "k", "second"];
    assert_eq!(watch.printed(), expected, "nothing twice, nothing lost");
}

/// The hints a failed command gives.
fn hints(words: &[&str]) -> Vec<String> {
    let (code, out, err) = ended(&mut etcdctl(words));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.ends_with("Error: context deadline exceeded\n"), "{err}");
    let hints = err.lines().filter_map(|line| line.strip_prefix("hint: "));
    hints.map(str::to_owned).collect()
}

/// A command that cannot reach an endpoint gives this reason for it, and no other.
fn is_explained(endpoint: &str, flags: &[String], reason: &str) {
    let endpoints = format!("--endpoints={endpoint}");
    let mut words =
        vec![endpoints.as_str(), "--dial-timeout=1s", "--command-timeout=2s", "get", "a"];
    words.extend(flags.iter().map(String::as_str));
    let given = hints(&words);
    let name = endpoint.split(',').next().unwrap();
    assert!(!given.is_empty(), "no hint at {endpoint}, expected {reason}");
    for hint in given {
        assert!(hint.starts_with(name) && hint.contains(reason), "{hint}\nexpected: {reason}");
    }
}

#[test]
fn refusals_of_tls_are_explained() {
    let pki = Pki::new();
    let flags = [pki.server_flags(), vec![format!("--client-crl-file={}", revoked(&pki))]].concat();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let plain = Server::start(&Kind::Ours);
    let secure = Server::start_with(&Kind::Ours, "https", &flags);
    let other = Pki::new();
    other.issue("server", etcd::certs::Purpose::Server, &["elsewhere.example"], valid());
    let of_other = other.server_flags();
    let of_other: Vec<&str> = of_other.iter().map(String::as_str).collect();
    let misnamed = Server::start_with(&Kind::Ours, "https", &of_other);
    let other_ca = format!("--cacert={}", other.file("ca.crt").display());
    let file = |name: &str| pki.file(name).display().to_string();
    let (ca, stranger) =
        (format!("--cacert={}", file("ca.crt")), format!("--cacert={}", file("stranger.crt")));
    let pair = |name: &str| {
        [
            format!("--cert={}", file(&format!("{name}.crt"))),
            format!("--key={}", file(&format!("{name}.key"))),
        ]
    };
    let http = |server: &Server| format!("http://{}", server.address());
    for (endpoint, flags, reason) in [
        (secure.url(), vec![stranger], "authority that is not trusted here"),
        (misnamed.url(), vec![other_ca], "its certificate is for elsewhere.example"),
        (secure.url(), vec![ca.clone()], "the server demands a client certificate"),
        (
            secure.url(),
            [std::slice::from_ref(&ca), &pair("unknown")].concat(),
            "does not trust the authority of --cert",
        ),
        (
            secure.url(),
            [std::slice::from_ref(&ca), &pair("expired")].concat(),
            "the certificate in --cert has expired",
        ),
        (
            secure.url(),
            [std::slice::from_ref(&ca), &pair("client")].concat(),
            "the certificate in --cert was revoked",
        ),
        (
            plain.url().replace("http", "https"),
            vec![ca],
            "the server speaks plaintext on this port",
        ),
        (http(&secure), vec![], "the server speaks TLS and was spoken to in plaintext"),
        (
            format!("{},{}", http(&secure), http(&secure)),
            vec![],
            "the server speaks TLS and was spoken to in plaintext",
        ),
        ("127.0.0.1:1".to_owned(), vec![], "nothing listens there"),
    ] {
        is_explained(&endpoint, &flags, reason);
    }
}

/// The original wants to be told of TLS a second time, although the endpoint says it.
#[test]
fn whoever_asks_for_no_verification_need_not_ask_for_tls_too() {
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().take(2).map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    let endpoints = format!("--endpoints={}", server.url());
    let limits = ["--dial-timeout=1s", "--command-timeout=2s", endpoints.as_str()];
    let words = [&limits[..], &["--insecure-skip-tls-verify", "put", "a", "b"]].concat();
    assert_eq!(ended(&mut etcdctl(&words)).1, "OK\n");
    // With neither the endpoint nor a flag asking for TLS, it is not spoken.
    let plain = format!("--endpoints={}", server.address());
    let words = [&limits[..2], &[&plain, "--insecure-skip-tls-verify", "put", "a", "b"]].concat();
    assert_eq!(ended(&mut etcdctl(&words)).0, Some(1));
    let Some(folder) = reference::folder() else { return };
    let mut theirs = Command::new(folder.join("etcdctl"));
    let words = [&limits[..], &["--insecure-skip-tls-verify", "put", "a", "b"]].concat();
    assert_eq!(ended(theirs.env_clear().args(words)).0, Some(1), "mended meanwhile?");
}

/// The certificates that etcd makes for itself are of a kind that cannot be verified here; whoever asks for
/// no verification does not need it.
#[test]
fn a_server_with_automatic_certificates_is_explained_and_reached_unverified() {
    let Some(folder) = reference::folder() else { return };
    let server = Server::start_with(&Kind::Reference(folder), "https", &["--auto-tls"]);
    let flags = vec!["--insecure-transport=false".to_owned()];
    is_explained(&server.url(), &flags, "P-521");
    let endpoints = format!("--endpoints={}", server.url());
    let words = [endpoints.as_str(), "--insecure-skip-tls-verify", "put", "a", "b"];
    assert_eq!(ended(&mut etcdctl(&words)).1, "OK\n");
}

/// A list that takes back the pair `client`.
fn revoked(pki: &Pki) -> String {
    let path: &Path = &pki.revoke("client");
    path.display().to_string()
}

/// The indented blocks of a section of the README, in their order.
fn readme(section: &str) -> Vec<String> {
    let text = include_str!("../../README.md");
    let (_, rest) = text.split_once(&format!("### {section}\n")).unwrap();
    let rest = rest.split_once("\n##").map_or(rest, |(section, _)| section);
    let mut blocks = vec![String::new()];
    for line in rest.lines() {
        let last = blocks.last_mut().unwrap();
        match line.strip_prefix("    ") {
            Some(code) => last.push_str(&format!("{code}\n")),
            None if last.is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks
}

#[test]
fn what_the_readme_shows_works() {
    let blocks = readme("etcdctl");
    let [node, file, cluster] = [&blocks[0], &blocks[1], &blocks[2]];
    let file = file.replace("10.0.0.5:2379, https://10.0.0.6", "127.0.0.1");
    let first = readme("Three members").remove(0);
    let (own, all) = first.split_once("--initial-cluster \"").unwrap();
    let member = |number: u32| {
        let own = own.replace("infra1", &format!("infra{number}"));
        let own = own.replace(":12", &format!(":{number}2"));
        format!(
            "{}--initial-cluster \"{} > {number}.log 2>&1 &\nmembers=\"$members $!\"\n",
            own,
            all.trim_end()
        )
    };
    let members: String = (1..=3).map(member).collect();
    let script = format!(
        "
mkdir copy; cp /etc/hosts /etc/passwd /etc/nsswitch.conf copy/ 2>/dev/null || true
mount -t tmpfs none /etc; cp copy/* /etc/; mkdir /etc/etcd
export PATH=$PWD:$PATH HOME=$PWD/home
ready() {{ until grep -q 'ready to serve client requests' $1; do
  kill -0 $! 2>/dev/null || {{ cat $1 >&2; exit 1; }}; done; }}
etcd cert init --data-dir data > /dev/null
etcd --pki-dir /etc/etcd/pki > node.log 2>&1 &
ready node.log
{node}
mkdir -p home/.config/etcdctl
cp /etc/etcd/pki/ca.crt /etc/etcd/pki/clients/admin.* home/.config/etcdctl/
mv /etc/etcd/pki away
cat > home/.config/etcdctl/config.yml <<'TEXT'
{file}TEXT
etcdctl get foo --print-value-only
kill $!; wait $! || true
rm -r home
members=
{members}
for number in 1 2 3; do ready $number.log; done
{cluster}
kill $members; wait || true
"
    );
    let programs = ["etcd", "etcdctl"].map(|name| (name, Kind::Ours.program(name)));
    let Some(printed) = own_network::run(&script, &programs) else { return };
    assert!(printed.starts_with("OK\nfoo\nbar\n"), "{printed}");
    assert!(printed.contains("\nbar\n+--"), "by the file: {printed}");
    let rows = |text: &str| printed.lines().filter(|line| line.contains(text)).count();
    assert_eq!(rows("https://localhost:2379"), 1, "{printed}");
    assert_eq!((rows("| started |"), rows("is healthy")), (3, 3), "{printed}");
    assert_eq!(rows("| http://127.0.0.1:") - 3, 3, "status of all members: {printed}");
}
