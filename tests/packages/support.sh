# Words, tools, the key and the root file system that the tests share.
# shellcheck shell=bash

say() { printf 'packages: %s\n' "$*"; }
fail() {
  printf 'packages: FAILED: %s\n' "$*" >&2
  exit 1
}
# What must be so; its output is shown only when it is not.
check() { # WHAT COMMAND...
  local what=$1 output
  shift
  output=$("$@" 2>&1) || fail "$what"$'\n'"$* said: $output"
  say "ok: $what"
}
refused() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then fail "$what"; fi
  say "ok: $what"
}
contains() { # TEXT LINE
  grep -qxF -- "$2" <<<"$1" || { printf 'no line "%s" in:\n%s\n' "$2" "$1"; return 1; }
}

need_tools() {
  local missing=() tool
  [[ $(id -u) == 0 ]] || missing+=("root's rights")
  for tool in rpmbuild:rpm dnf:dnf createrepo_c:createrepo-c apt-ftparchive:apt-utils debootstrap:debootstrap \
    systemd-nspawn:systemd-container lintian:lintian rpmlint:rpmlint gpg:gnupg objdump:binutils; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  [[ ${#missing[@]} != 0 ]] || return 0
  if [[ ${CI:-} == true ]]; then fail "CI needs: ${missing[*]}"; fi
  say "SKIPPED: the packages are not looked at; missing: ${missing[*]}"
  exit 0
}

# Packages are installed a dozen times, and dnf syncs at every step: in memory it takes seconds.
make_work() {
  work=$(mktemp -d /var/tmp/etcd-packages.XXXXXX)
  mount -t tmpfs -o size=3g,mode=755 etcd-packages "$work" 2>/dev/null || say "working on disk, which takes longer"
}

make_key() {
  local home
  for home in gnupg stranger; do
    mkdir -m 700 "$work/$home"
    GNUPGHOME=$work/$home gpg --batch --quiet --passphrase '' --quick-generate-key \
      "Packages of a test" rsa3072 sign never 2>/dev/null
  done
  GNUPGHOME=$work/stranger gpg --batch --armor --export >"$work/stranger.asc"
  export GNUPGHOME=$work/gnupg
}

# A small Debian with systemd, made once: the suite and the mirror are those of this machine.
make_base() {
  local suite mirror
  base=$cache/base
  [[ -e $base/complete ]] && return
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' "Codename: $suite" | head -n 1)
  say "making a root file system, which takes about two minutes"
  rm -rf "$base"
  mkdir -p "$base"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,passwd "$suite" "$base" \
    "$mirror" >"$work/debootstrap.log" 2>&1 || fail "debootstrap: $(tail -n 5 "$work/debootstrap.log")"
  # A copy is another machine; and CentOS enables nothing that an administrator did not ask for.
  rm -f "$base/etc/machine-id" "$base"/var/cache/apt/archives/*.deb
  mkdir -p "$base/etc/systemd/system-preset"
  echo 'disable *' >"$base/etc/systemd/system-preset/99-default-disable.preset"
  # A container without a network has nothing to wait for; and what an installer of Debian writes.
  ln -sf /dev/null "$base/etc/systemd/system/systemd-networkd-wait-online.service"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$base/etc/hosts"
  touch "$base/complete"
}

clean() {
  local folder
  if [[ -n ${started:-} ]] && kill -0 "$started" 2>/dev/null; then kill -KILL "$started"; fi
  # What systemd-nspawn leaves behind when nobody registers the container.
  for folder in payload supervisor; do
    find /sys/fs/cgroup -type d -name "$folder" -empty -delete 2>/dev/null || true
  done
  if mountpoint --quiet "$work"; then umount "$work"; fi
  # Never into something that is still mounted there.
  rm -rf --one-file-system "$work"
}
