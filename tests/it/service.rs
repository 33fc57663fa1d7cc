//! The packaged service's first start: its unit's commands and variables, with the directory of
//! certificates in the test's own folder, in a network of its own because the ports are the usual ones.

use std::path::PathBuf;

use crate::support::own_network;
use crate::support::server::Kind;

/// The commands and variables of the unit. What the settings file holds comes on top, as there.
fn service() -> String {
    let unit = include_str!("../../systemd/etcd.service");
    let values = |key: &str| -> Vec<String> {
        let values = unit.lines().filter_map(|line| line.strip_prefix(key));
        values.map(|value| value.replace("/etc/etcd", "$PWD/etc")).collect()
    };
    let (variables, before) = (values("Environment="), values("ExecStartPre="));
    let here = |command: &String| command.replace("/usr/bin/etcd", "./etcd");
    let exports: Vec<String> = variables.iter().map(|one| format!("export {one}")).collect();
    let before: Vec<String> = before.iter().map(here).collect();
    format!(
        "umask 077\n{}\nset -a; touch etc/etcd.conf; . ./etc/etcd.conf; set +a\n{}\n",
        exports.join("\n"),
        before.join("\n")
    )
}

const HELPERS: &str = "
mkdir -p etc/pki
start() { ( umask 077; SERVICE
  exec ./etcd ) > etcd.log 2>&1 & }
ready() { until grep -q 'ready to serve client requests' etcd.log; do
  kill -0 $! 2>/dev/null || { cat etcd.log >&2; exit 1; }; done; }
stop() { kill $!; wait $! || true; }
ctl() { ./etcdctl --endpoints https://localhost:2379 --cacert etc/pki/ca.crt \\
  --cert etc/pki/clients/admin.crt --key etc/pki/clients/admin.key \"$@\"; }
";

fn play(script: &str) -> Option<String> {
    let programs: Vec<(&str, PathBuf)> =
        ["etcd", "etcdctl"].map(|name| (name, Kind::Ours.program(name))).to_vec();
    let helpers = HELPERS.replace("SERVICE", &service());
    own_network::run(&format!("{helpers}{script}"), &programs)
}

#[test]
fn a_first_start_with_nothing_configured_serves_its_own_certificates() {
    let script = "
start; ready
ctl put foo bar
grep -o 'etcdctl --endpoints https://localhost:2379' etcd.log
grep -o 'etcd cert issue client NAME' etcd.log
grep -o 'etcd cert status' etcd.log
ls default.etcd > /dev/null
stat -c '%a' etc/pki/ca etc/pki/server.key etc/pki/clients etc/pki/clients/admin.key
cksum etc/pki/*.crt etc/pki/clients/* > before
./etcdctl --endpoints http://localhost:2379 --dial-timeout 1s get foo > /dev/null 2>&1 && echo open
./etcdctl --endpoints https://localhost:2379 --cacert etc/pki/ca.crt get foo > /dev/null 2>&1 && echo open
stop
start; ready
ctl get foo --print-value-only
cksum etc/pki/*.crt etc/pki/clients/* | cmp - before && echo same
grep -c 'this member is new' etcd.log || true
stop
";
    let Some(printed) = play(script) else { return };
    let advice = "etcdctl --endpoints https://localhost:2379\netcd cert issue client NAME\netcd cert status\n";
    let modes = "700\n600\n700\n600\n";
    assert_eq!(printed, format!("OK\n{advice}{modes}bar\nsame\n0\n"));
}

#[test]
fn a_start_that_was_broken_off_between_files_is_completed() {
    let script = "
( SERVICE ) > pre.log 2>&1
rm etc/pki/peer.crt etc/pki/peer.key etc/pki/client-ca.crt etc/pki/server.* etc/pki/clients/*
start; ready
ctl put foo bar
stop
";
    let Some(printed) = play(&script.replace("SERVICE", &service())) else { return };
    assert_eq!(printed, "OK\n");
}

#[test]
fn an_edit_of_the_settings_is_enough_for_a_member_of_a_cluster() {
    let script = "
cat > etc/etcd.conf <<'TEXT'
ETCD_NAME=\"db1\"
ETCD_LISTEN_PEER_URLS=\"https://127.0.0.1:12380\"
ETCD_INITIAL_ADVERTISE_PEER_URLS=\"https://127.0.0.1:12380\"
TEXT
start; ready
ctl put foo bar
grep -q 'serving peer traffic.*https://127.0.0.1:12380' etcd.log && ls -d db1.etcd
stop
# With others it must have what their authority made.
rm -rf etc/pki db1.etcd; mkdir -p etc/pki
echo 'ETCD_INITIAL_CLUSTER=db1=https://127.0.0.1:12380,db2=https://127.0.0.1:22380' >> etc/etcd.conf
start; wait $! || grep -o 'etcd cert join TOKEN' etcd.log; ls etc/pki
# In plaintext only if it is said twice.
rm -rf etc db1.etcd; mkdir -p etc/pki
echo 'ETCD_LISTEN_CLIENT_URLS=http://localhost:2379' > etc/etcd.conf
echo 'ETCD_ADVERTISE_CLIENT_URLS=http://localhost:2379' >> etc/etcd.conf
start; wait $! || grep -o 'allows no plaintext' etcd.log | head -n 1
printf 'ETCD_REQUIRE_TLS=false\\nETCD_PKI_DIR=\\n' >> etc/etcd.conf
start; ready
./etcdctl put foo plain
ls etc/pki
stop
";
    let Some(printed) = play(script) else { return };
    assert_eq!(printed, "OK\ndb1.etcd\netcd cert join TOKEN\nallows no plaintext\nOK\n");
}

#[test]
fn what_join_wrote_is_what_the_service_starts_with() {
    let script = "
mkdir other && ./etcd cert init --pki-dir other/pki > /dev/null
cp -r other/pki/. etc/pki/ && rm -r etc/pki/ca
cat > etc/etcd.conf.yml <<'TEXT'
name: db7
require-tls: true
TEXT
start; ready
ctl put foo bar
ls -d db7.etcd
grep -c 'this member is new' etcd.log || true
stop
rm etc/pki/server.crt
start; wait $! || grep -o 'etc/pki/server.crt' etcd.log | head -n 1
";
    let Some(printed) = play(script) else { return };
    assert_eq!(printed, "OK\ndb7.etcd\n0\netc/pki/server.crt\n");
}

/// A minimal system without the usual lines in its list of hosts: nothing waits, and the reason is told.
#[test]
fn a_first_start_where_localhost_leads_nowhere_tells_the_reason() {
    let script = "
mv etcd unfound
printf '192.0.2.1 elsewhere\\n' > hosts; printf 'hosts: files\\n' > switch
cat > etcd <<'TEXT'
#!/bin/sh
exec unshare --mount sh -euc 'mount --bind hosts /etc/hosts; mount --bind switch /etc/nsswitch.conf
exec ./unfound \"$@\"' sh \"$@\"
TEXT
chmod +x etcd
start; wait $! || echo $?
grep -o 'failed to start etcd' etcd.log
grep -o 'listen tcp localhost:2379: lookup failed' etcd.log
grep -o \"use an IP address or fix the name's resolution\" etcd.log
mv unfound etcd
start; ready
ctl put foo bar
stop
";
    let Some(printed) = play(script) else { return };
    let said = "1\nfailed to start etcd\nlisten tcp localhost:2379: lookup failed\n";
    let advice = "use an IP address or fix the name's resolution\nOK\n";
    assert_eq!(printed, format!("{said}{advice}"));
}
