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
    "-rw-r--r-- root /usr/share/doc/etcd/THIRD-PARTY.gz" "-rw-r--r-- root /usr/share/doc/etcd/LICENSE" \
    "-rw-r--r-- root /usr/share/doc/etcd/etcd.cdx.json" \
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
    /usr/lib/{sysusers,tmpfiles}.d/etcd.conf /usr/share/doc/etcd/{copyright,THIRD-PARTY.gz,alerts.yml,dashboard.json,etcd.cdx.json} \
    /usr/share/man/man{8/etcd.8,1/etcd.1,1/etcdctl.1,1/etcdutl.1}.gz /usr/share/zsh/vendor-completions/_etcdctl \
    /usr/share/bash-completion/completions/etcdctl /usr/share/fish/vendor_completions.d/etcdctl.fish; do
    contains "$list" "-rw-r--r-- root/root $name" || fail "the deb lacks $name"
  done
  check "the deb's only setting is etcd.conf" test "$(awk '$3 ~ "^/etc/etcd/[^/]" { print $3 }' <<<"$list")" = /etc/etcd/etcd.conf
  say "ok: the deb's files, their modes and owners"
  check "the rpm keeps a changed configuration" contains "$(rpm -qpc "$rpm" 2>/dev/null)" /etc/etcd/etcd.conf
  check "the deb keeps a changed configuration" contains "$(dpkg-deb --info "$deb" conffiles)" /etc/etcd/etcd.conf
  check "both packages are named etcd" test \
    "$(rpm -qp --qf '%{NAME} %{ARCH}' "$rpm" 2>/dev/null) $(dpkg-deb --show --showformat '${Package} ${Architecture}' "$deb")" = \
    "etcd x86_64 etcd amd64"
  check_old_systems
  check_repositories
  check_tar
}

# CentOS 7: rpm 4.11 and what its base packages provide; and versions that sort above the old etcd's.
check_old_systems() {
  local foreign scripts name list
  foreign=$(rpm -qp --requires "$rpm" 2>/dev/null | grep -v '^config(etcd) = ' | sort -u |
    grep -vxFf <(grep -v '^#' "$here/centos7.provides") || true)
  [[ -z $foreign ]] || fail "the rpm asks for what CentOS 7 does not have: $foreign"
  say "ok: the rpm asks for nothing that CentOS 7 lacks"
  # rpm 4.11 knows no weak dependencies, and takes what it does not know for a fault of the package.
  foreign=$(for name in recommends suggests supplements enhances; do rpm -qp "--$name" "$rpm" 2>/dev/null; done)
  [[ -z $foreign ]] || fail "the rpm has weak dependencies: $foreign"
  check "the rpm's payload is gzip" test "$(rpm -qp --qf '%{PAYLOADCOMPRESSOR}' "$rpm" 2>/dev/null)" = gzip
  # It checks the whole package by these, and has no other digest for it.
  check "the rpm has the digests of old rpm" test "$(rpm -qp --qf '%{SIGMD5}|%{SHA1HEADER}' "$rpm" 2>/dev/null | grep -c '(none)')" = 0
  scripts=$(rpm -qp --scripts "$rpm" 2>/dev/null)
  ! grep -qE 'rm -|userdel|systemctl (enable|start|restart)' <<<"$scripts" || fail "a scriptlet deletes, enables or starts"
  # What each of them must do; rpm.sh and guest.sh look at what comes of it.
  for name in {pre,post}{,un}'install scriptlet (using /bin/sh):' 'groupadd -r etcd' 'useradd -r -g etcd' \
    'systemctl preset etcd' 'if [ -d /run/systemd/system ]; then' 'systemctl daemon-reload' \
    'systemctl --no-reload disable etcd' 'systemctl stop etcd' 'systemctl try-restart etcd'; do
    grep -qF -- "$name" <<<"$scripts" || fail "no scriptlet of the rpm says $name"
  done
  say "ok: the rpm's scriptlets"
  check "the rpm follows CentOS 7's etcd" test "$(rpm --eval "%{lua:print(rpm.vercmp('$(rpm -qp --qf \
    '%{VERSION}-%{RELEASE}' "$rpm" 2>/dev/null)', '3.3.11-2.el7'))}")" = 1
  check "the deb follows CentOS 7's version too" dpkg --compare-versions "$(dpkg-deb --field "$deb" Version)" gt 3.3.11
  check "the deb follows Debian's etcd 3.5" dpkg --compare-versions "$(dpkg-deb --field "$deb" Version)" gt 3.5.16-4
}

# yum 3.4 reads lists in gzip and as sqlite, and none of those that came later.
check_repositories() {
  local list
  list=$(cd "$first/yum/repodata" && printf '%s\n' * | sed 's/^[0-9a-f]*-//' | sort | xargs)
  check "the lists for yum are ones that it reads" test "$list" = "filelists.sqlite.gz filelists.xml.gz \
other.sqlite.gz other.xml.gz primary.sqlite.gz primary.xml.gz repomd.xml repomd.xml.asc"
  refused "nothing newer is in them" grep -qE 'zck|zst|<checksum type="sha[^2]' "$first/yum/repodata/repomd.xml"
}

check_tar() {
  local folder=$programs name
  check "the tar has its name" test "$(basename "$first"/etcd-v*.tar.gz)" = "etcd-v$version-linux-amd64.tar.gz"
  for name in etcd{,ctl,utl} etcd.conf etcd.conf.yml etcd.cdx.json LICENSE THIRD-PARTY README.md \
    systemd/etcd.service completions/etcdctl.{bash,zsh,fish} man/etcd{,ctl,utl}.1; do
    [[ -s $folder/$name ]] || fail "the tar lacks $name"
  done
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
  check "the same bill is in the tar" cmp "$folder/etcd.cdx.json" "$first"/*.cdx.json
  check "the checksums are right" sh -c "cd '$first' && sha256sum --check --strict SHA256SUMS"
  check "everything has one" test "$(awk '{ print $2 }' "$first/SHA256SUMS" | xargs)" = \
    "$(cd "$first" && echo *.rpm *.deb *.tar.gz *.cdx.json)"
}

# Programs that another machine would not run end the build.
check_refusals() {
  local folder=$work/newer said
  mkdir "$folder"
  cp "$programs"/etcd{,ctl} "$folder/"
  # Of this machine, whose glibc is newer.
  cp /bin/true "$folder/etcdutl"
  if said=$(SIGNING_KEY="" BINARIES=$folder "$source/packaging/build" "$work/refused" 2>&1); then
    fail "programs for a newer glibc are packaged"
  fi
  check "the build fails with programs for a newer glibc" grep -q 'etcdutl needs GLIBC_.*CentOS 7 has GLIBC_2.17' <<<"$said"
  said=$(SIGNING_KEY=nobody "$source/packaging/build" "$work/refused" 2>&1 || true)
  check "the build fails without the key that it is given" grep -q "has no secret key of that name" <<<"$said"
}

# The same programs packaged once more, without a key.
check_unsigned() {
  local third=$work/third name
  check "an unsigned build says so" grep -q '^packaging/build: UNSIGNED: ' "$work/the unsigned build.log"
  check "it has no signature" test -z "$(find "$third" -name '*.asc' -o -name InRelease -o -name Release.gpg)"
  check "its rpm has none" test "$(rpm -qp --qf '%{SIGPGP}%{RSAHEADER}' "$third"/*.rpm 2>/dev/null)" = "(none)(none)"
  for name in "$(basename "$deb")" "etcd-v$version-linux-amd64.tar.gz" "etcd-v$version.cdx.json"; do
    check "$name is the same in both builds" cmp "$first/$name" "$third/$name"
  done
  check "the rpm is the same but for the signature" test "$(rpm -qp --qf '%{SHA1HEADER} %{PAYLOADDIGEST}' "$rpm" 2>/dev/null)" = \
    "$(rpm -qp --qf '%{SHA1HEADER} %{PAYLOADDIGEST}' "$third"/*.rpm 2>/dev/null)"
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
  check "Release is signed" signed_by_us ours "$first"/apt/dists/stable/Release{.gpg,}
  check "repomd.xml is signed" signed_by_us ours "$first/yum/repodata/repomd.xml.asc" "$first/yum/repodata/repomd.xml"
  check "SHA256SUMS is signed" signed_by_us ours "$first/SHA256SUMS.asc" "$first/SHA256SUMS"
}

check_lint() {
  check "lintian finds no error" lintian --no-cfg --allow-root --fail-on error "$deb"
  check "rpmlint finds no error" rpmlint --config "$here/rpmlint.toml" "$rpm"
}
