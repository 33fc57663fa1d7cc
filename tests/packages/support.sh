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

skip() {
  say "SKIPPED: the packages are neither built nor installed; $*"
  exit 0
}

# What this machine cannot do it need not; what could be installed on it must be, where CI=true.
need_machine() {
  local missing=() tool
  [[ $(id -u) == 0 ]] || skip "that needs root's rights"
  for tool in rpmbuild:rpm dnf:dnf createrepo_c:createrepo-c apt-ftparchive:apt-utils debootstrap:debootstrap \
    systemd-nspawn:systemd-container lintian:lintian rpmlint:rpmlint gpg:gnupg objdump:binutils \
    ip:iproute2 nsenter:util-linux buildah:buildah python3:python3; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  if [[ ${#missing[@]} != 0 ]]; then
    if [[ ${CI:-} == true ]] && command -v apt-get >/dev/null; then fail "CI needs: ${missing[*]}"; fi
    skip "missing: ${missing[*]}"
  fi
  systemd-nspawn --quiet --directory=/ --volatile=yes --register=no --keep-unit --private-network \
    --console=pipe /bin/true </dev/null >/dev/null 2>&1 || skip "this system lets nobody boot another in a container"
}

declare -A begun=()
begin() { # WHAT COMMAND...
  "${@:2}" >"$work/$1.log" 2>&1 &
  begun[$1]=$!
}
finish() { # WHAT
  wait "${begun[$1]}" || fail "$1: $(tail -n 20 "$work/$1.log")"
  unset "begun[$1]"
  say "ok: $1"
}

# What the builds made, as any web server would have it.
serve_web() {
  mkdir "$work/web"
  ln -s "$first" "$second" "$work/web/"
  python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$work/web" >"$work/web.log" 2>&1 &
  web=$!
  for _ in $(seq 100); do
    at=$(sed -n 's|^Serving.*(\(http://[^)]*\)/).*|\1|p' "$work/web.log")
    if [[ -n $at ]]; then return; fi
    sleep 0.1
  done
  fail "no web server: $(cat "$work/web.log")"
}

# Packages are installed a dozen times, and dnf syncs at every step: in memory it takes seconds.
make_work() {
  work=$(mktemp -d /var/tmp/etcd-packages.XXXXXX)
  mount -t tmpfs -o size=5g,mode=755 etcd-packages "$work" 2>/dev/null || say "working on disk, which takes longer"
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

bootstrap() { # SUITE FOLDER MIRROR
  rm -rf --one-file-system "$2"
  mkdir -p "$2"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,passwd,adduser "$@"
}

# Where this machine has its Debian from.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' \
    "Codename: $(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" | head -n 1
}

# A small Debian with systemd, made once: the suite and the mirror are those of this machine.
make_base() {
  local suite mirror
  [[ -e $base/complete ]] && return
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  mirror=$(debian_mirror)
  twice bootstrap "$suite" "$base" "$mirror" || fail "debootstrap cannot make $suite from $mirror"
  # A copy is another machine; and CentOS enables nothing that an administrator did not ask for.
  rm -f "$base/etc/machine-id" "$base"/var/cache/apt/archives/*.deb
  mkdir -p "$base/etc/systemd/system-preset"
  echo 'disable *' >"$base/etc/systemd/system-preset/99-default-disable.preset"
  # A container without a network has nothing to wait for; and what an installer of Debian writes.
  ln -sf /dev/null "$base/etc/systemd/system/systemd-networkd-wait-online.service"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$base/etc/hosts"
  # Packages come from the test's repository alone, and nobody is there to say yes.
  rm -f "$base/etc/apt/sources.list"
  echo 'APT::Get::Assume-Yes "true";' >"$base/etc/apt/apt.conf.d/99yes"
  touch "$base/complete"
}

# Where systemd keeps track of processes: one tree, or two where the older kind is mounted as well.
groups_of() { # NAME
  local tree found=()
  for tree in systemd unified; do [[ ! -d /sys/fs/cgroup/$tree ]] || found+=("/sys/fs/cgroup/$tree/$1"); done
  [[ ${#found[@]} != 0 ]] || found=("/sys/fs/cgroup/$1")
  printf '%s\n' "${found[@]}"
}
# Those that are in use stay.
remove_groups() { # NAME...
  local name group
  for name in "$@"; do
    for group in $(groups_of "$name"); do
      find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
  done
}

# The first process inside takes everything with it; without systemd-nspawn it would go on alone.
first_process() { # PROCESS-OF-TIMEOUT
  local nspawn
  nspawn=$(pgrep --parent "$1" systemd-nspawn) && pgrep --parent "$nspawn" --exact systemd
}
end_container() { # PROCESS-OF-TIMEOUT
  local first
  if first=$(first_process "$1"); then kill -KILL "$first" 2>/dev/null || true; fi
  wait "$1" 2>/dev/null || true
}

clean() {
  local folder
  # debootstrap is not to be stopped half-way: it has mounted things.
  if [[ ${#begun[@]} != 0 ]]; then wait "${begun[@]}" || true; fi
  if [[ -n ${started:-} ]]; then end_container "$started"; fi
  if [[ -n ${web:-} ]]; then kill "$web" && wait "$web" || true; fi
  clean_hosts
  # What systemd-nspawn leaves behind when nobody registers the container.
  remove_groups payload supervisor
  # An agent ends once its socket is gone, which may be in either of two places: /run/user, where the sockets are if
  # it is there, may have come meanwhile. Until then the socket keeps the mount busy.
  for folder in "$work"/{gnupg,stranger} "$work"/dnf/*/pubring; do
    [[ -d $folder ]] || continue
    gpgconf --homedir "$folder" --kill gpg-agent || true
    gpgconf --homedir "$folder" --remove-socketdir 2>/dev/null || true
    rm -rf "$folder"
  done
  if mountpoint --quiet "$work"; then
    for _ in $(seq 100); do
      if umount "$work" 2>/dev/null; then break; fi
      sleep 0.1
    done
    ! mountpoint --quiet "$work" || fail "$work stays mounted: it is in use"
  fi
  # Never into something that is still mounted there.
  rm -rf --one-file-system "$work"
}
