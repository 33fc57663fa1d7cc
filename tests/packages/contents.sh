# What is in the packages, and what they ask of a machine.
# shellcheck shell=bash

check_contents() {
  local list name row
  list=$(rpm -qp --qf '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]' "$rpm" 2>/dev/null)
  for row in "-rwxr-xr-x root /usr/bin/etcd" "-rwxr-xr-x root /usr/bin/etcdctl" "-rwxr-xr-x root /usr/bin/etcdutl" \
    "-rw-r--r-- root /usr/lib/systemd/system/etcd.service" \
    "-rw-r--r-- root /usr/lib/systemd/system/etcd-renew.service" \
    "-rw-r--r-- root /usr/lib/systemd/system/etcd-renew.timer" "-rw-r--r-- root /usr/lib/sysusers.d/etcd.conf" \
    "-rw-r--r-- root /usr/lib/tmpfiles.d/etcd.conf" "-rw-r--r-- root /etc/etcd/etcd.conf" \
    "-rw-r--r-- root /usr/share/man/man8/etcd.8.gz" "-rw-r--r-- root /usr/share/man/man1/etcd.1.gz" \
    "-rw-r--r-- root /usr/share/man/man1/etcdctl.1.gz" "-rw-r--r-- root /usr/share/man/man1/etcdutl.1.gz" \
    "-rw-r--r-- root /usr/share/bash-completion/completions/etcdctl" \
    "-rw-r--r-- root /usr/share/zsh/site-functions/_etcdctl" \
    "-rw-r--r-- root /usr/share/fish/vendor_completions.d/etcdctl.fish" \
    "-rw-r--r-- root /usr/share/doc/etcd/alerts.yml" "-rw-r--r-- root /usr/share/doc/etcd/dashboard.json" \
    "drwx------ etcd /var/lib/etcd" "drwx------ etcd /etc/etcd/pki"; do
    contains "$list" "$row" || fail "the rpm lacks what it must contain"
  done
  check "the rpm's only setting is etcd.conf" test "$(awk '$3 ~ "^/etc/etcd/[^/]*\\." { print $3 }' <<<"$list")" = /etc/etcd/etcd.conf
  say "ok: the rpm's files, their modes and owners"
  list=$(dpkg-deb --contents "$deb" | awk '{ print $1, $2, substr($6, 2) }')
  for name in etcd etcdctl etcdutl; do
    contains "$list" "-rwxr-xr-x root/root /usr/bin/$name" || fail "the deb lacks $name"
  done
  for name in /usr/lib/systemd/system/etcd{.service,-renew.service,-renew.timer} /etc/etcd/etcd.conf \
    /usr/lib/{sysusers,tmpfiles}.d/etcd.conf /usr/share/doc/etcd/{copyright,alerts.yml,dashboard.json} \
    /usr/share/man/man{8/etcd.8,1/etcd.1,1/etcdctl.1,1/etcdutl.1}.gz /usr/share/zsh/vendor-completions/_etcdctl \
    /usr/share/bash-completion/completions/etcdctl /usr/share/fish/vendor_completions.d/etcdctl.fish; do
    contains "$list" "-rw-r--r-- root/root $name" || fail "the deb lacks $name"
  done
  check "the deb's only setting is etcd.conf" test "$(awk '$3 ~ "^/etc/etcd/[^/]" { print $3 }' <<<"$list")" = /etc/etcd/etcd.conf
  say "ok: the deb's files, their modes and owners"
  check "the rpm keeps a changed configuration" contains "$(rpm -qpc "$rpm" 2>/dev/null)" /etc/etcd/etcd.conf
  check "the deb keeps a changed configuration" contains "$(dpkg-deb --info "$deb" conffiles)" /etc/etcd/etcd.conf
  check_old_systems
  check_tar
}

# CentOS 7: rpm 4.11 and what its base packages provide; and versions that sort above the old etcd's.
check_old_systems() {
  local foreign scripts
  foreign=$(rpm -qp --requires "$rpm" 2>/dev/null | grep -v '^config(etcd) = ' | sort -u |
    grep -vxFf <(grep -v '^#' "$here/centos7.provides") || true)
  [[ -z $foreign ]] || fail "the rpm asks for what CentOS 7 does not have: $foreign"
  say "ok: the rpm asks for nothing that CentOS 7 lacks"
  check "the rpm's payload is gzip" test "$(rpm -qp --qf '%{PAYLOADCOMPRESSOR}' "$rpm" 2>/dev/null)" = gzip
  scripts=$(rpm -qp --scripts "$rpm" 2>/dev/null)
  ! grep -qE 'rm -|userdel|systemctl (enable|start|restart)' <<<"$scripts" || fail "a scriptlet deletes, enables or starts"
  check "the rpm follows CentOS 7's etcd" test "$(rpm --eval "%{lua:print(rpm.vercmp('$(rpm -qp --qf \
    '%{VERSION}-%{RELEASE}' "$rpm" 2>/dev/null)', '3.3.11-2.el7'))}")" = 1
  check "the deb follows Debian's etcd 3.5" dpkg --compare-versions "$(dpkg-deb --field "$deb" Version)" gt 3.5.16-4
}

check_tar() {
  local folder=$programs name
  check "the tar's program runs" "$folder/etcd" --version
  for name in put 'member list' 'cert\|completion'; do
    check "etcdctl's own manual is in the tar" grep -q "^\.SS \($name\)" "$folder/man/etcdctl.1"
  done
  check "the settings say what the unit sets" grep -q 'unit sets' "$folder/etcd.conf"
  check "the tar's configuration is right" "$folder/etcd" config check "$folder/etcd.conf.yml"
  # Every variable of the sample is one that the daemon knows.
  check "the sample of variables is right" sample_is_known "$folder"
  check "the bill of materials names the crates" python3 -c '
import json, sys
bill = json.load(open(sys.argv[1]))
assert bill["bomFormat"] == "CycloneDX" and {"rustls", "tokio"} <= {c["name"] for c in bill["components"]}' \
    "$first"/*.cdx.json
  check "the checksums are right" sh -c "cd '$first' && sha256sum --check --strict SHA256SUMS"
}

sample_is_known() { # FOLDER
  local said
  said=$(sed -n 's/^#\(ETCD_[A-Z_]*=\)/export \1/p' "$1/etcd.conf" | grep -v CONFIG_FILE >"$work/variables" &&
    env -i sh -c ". '$work/variables' && '$1/etcd' config show" 2>&1) || { echo "$said"; return 1; }
  ! grep -i 'unrecognized' <<<"$said"
}

check_signatures() {
  local keys=$work/keys damaged=$work/damaged.rpm
  mkdir "$keys"
  rpmkeys --dbpath "$keys" --import "$first/etcd.asc"
  check "the rpm's signatures are good" sh -c "rpmkeys --dbpath '$keys' -Kv '$rpm' | tee /dev/stderr | grep -q 'V4 RSA/SHA256 Signature.*OK'"
  # Header and payload are signed together for old rpm; both signatures are there.
  check "the payload is signed too" test "$(rpm -qp --qf '%{SIGPGP:pgpsig}' "$rpm" 2>/dev/null)" != "(none)"
  cp "$rpm" "$damaged"
  printf 'x' | dd of="$damaged" bs=1 seek=$(($(stat -c %s "$damaged") - 4096)) conv=notrunc status=none
  refused "a damaged rpm is refused" rpmkeys --dbpath "$keys" -K "$damaged"
  signed_by_us() { gpgv --keyring "$work/$1.gpg" "${@:2}"; }
  gpg --dearmor <"$first/etcd.asc" >"$work/ours.gpg"
  gpg --dearmor <"$work/stranger.asc" >"$work/stranger.gpg"
  for list in apt/dists/stable/InRelease; do
    check "$list is signed" signed_by_us ours "$first/$list"
    refused "$list is not signed by a stranger" signed_by_us stranger "$first/$list"
  done
  check "repomd.xml is signed" signed_by_us ours "$first/yum/repodata/repomd.xml.asc" "$first/yum/repodata/repomd.xml"
  check "SHA256SUMS is signed" signed_by_us ours "$first/SHA256SUMS.asc" "$first/SHA256SUMS"
}

check_lint() {
  check "lintian finds no error" lintian --no-cfg --allow-root --fail-on error "$deb"
  check "rpmlint finds no error" rpmlint --config "$here/rpmlint.toml" "$rpm"
}
