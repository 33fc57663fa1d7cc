# Three machines with the package and a systemd of their own, and a fourth with a client: every one of them a
# network namespace on one wire. They form a cluster by a token each; then the wire of the leader is pulled.
# shellcheck shell=bash

wire=etcd-packages-$$
subnet=192.0.2
booted=()

host_root() { echo "$work/hosts/$1"; }

# The fourth machine stands at the wire's own end.
client() {
  local pki
  pki=$(host_root 1)/etc/etcd/pki
  ip netns exec "$wire" env -i "$programs/etcdctl" --command-timeout=10s --dial-timeout=2s --cacert "$pki/ca.crt" \
    --cert "$pki/clients/admin.crt" --key "$pki/clients/admin.key" "$@"
}
at() { # NUMBER COMMAND...
  client --endpoints "https://$subnet.$1:2379" "${@:2}"
}

lay_wire() {
  ip netns add "$wire"
  ip -n "$wire" link add wire type bridge
  ip -n "$wire" addr add "$subnet.254/24" dev wire
  ip -n "$wire" link set wire up
  ip -n "$wire" link set lo up
}

# One that is like the others, plugged in and booted. A systemd wants a control group of its own.
start_host() { # NUMBER
  local number=$1 space=$wire-$1 root group
  root=$(host_root "$number")
  cp -a "$work/hosts/installed" "$root"
  echo "db$number" >"$root/etc/hostname"
  ip netns add "$space"
  ip -n "$wire" link add "host$number" type veth peer name host0 netns "$space"
  ip -n "$wire" link set "host$number" master wire up
  ip -n "$space" link set lo up
  ip -n "$space" addr add "$subnet.$number/24" dev host0
  ip -n "$space" link set host0 up
  for group in $(groups_of "$space"); do mkdir -p "$group"; done
  (
    for group in $(groups_of "$space"); do echo "$BASHPID" >"$group/cgroup.procs"; done
    exec timeout --kill-after=5 300 systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --boot \
      --network-namespace-path="/run/netns/$space" --system-call-filter="$landlock" --console=pipe
  ) </dev/null >"$work/host$number.console" 2>&1 &
  booted[number]=$!
}

on() { # NUMBER COMMAND...
  local process
  process=$(first_process "${booted[$1]}") || { echo "host $1 does not run"; return 1; }
  nsenter --target "$process" --all -- env -i PATH=/usr/sbin:/usr/bin HOME=/root "${@:2}"
}

eventually() { # WHAT COMMAND...
  local what=$1 output tries
  shift
  for tries in $(seq 300); do
    if output=$("$@" 2>&1); then
      say "ok: $what"
      return
    fi
    sleep 0.2
  done
  tell_hosts
  fail "$what"$'\n'"$* said at last: $output"
}
tell_hosts() {
  local number
  for number in 1 2 3; do
    printf -- '---- host %s\n' "$number"
    on "$number" systemctl status --no-pager --full --lines=15 etcd 2>&1 | cut -c 1-400 || true
  done
}

status_of() { on "$1" systemctl show --value --property StatusText etcd; }
says() { # NUMBER PATTERN
  local status
  status=$(status_of "$1")
  [[ $status == $2 ]] || { echo "host $1 says: $status"; return 1; }
}
issues() { on 1 journalctl --unit=issuer --output=cat | grep --quiet 'serving certificates'; }
holds() { [[ $(at "$1" get --print-value-only "$2") == "$3" ]]; }
leading() {
  local number
  for number in "$@"; do
    if says "$number" 'serving as leader*' >/dev/null; then echo "$number"; return; fi
  done
  return 1
}
three_voters() {
  local members
  members=$(at 1 member list) && [[ $(grep -c 'started.*false$' <<<"$members") == 3 ]] || { echo "$members"; return 1; }
}

# As README tells it: the first makes the authority, the others need one string each.
form_cluster() {
  local number token
  check "db1 makes the authority" on 1 etcd cert init --name db1 --config-out /etc/etcd/etcd.conf.yml \
    --listen-client-urls "https://0.0.0.0:2379" --advertise-client-urls "https://$subnet.1:2379" \
    --listen-peer-urls "https://$subnet.1:2380" --initial-advertise-peer-urls "https://$subnet.1:2380"
  check "db1 serves" on 1 systemctl enable --quiet --now etcd
  # As root, whose the keys of the authority are.
  check "db1 starts an issuer" on 1 systemd-run --quiet --unit=issuer \
    etcd cert serve --endpoints "https://$subnet.1:2379"
  eventually "it issues certificates" issues
  for number in 2 3; do
    token=$(on 1 etcd cert token create --role member --name "db$number" --issuer "https://$subnet.1:2382" 2>/dev/null)
    check "db$number joins" on "$number" etcd cert join "$token"
    check "db$number serves" on "$number" systemctl enable --quiet --now etcd
  done
  eventually "all three are voters" three_voters
  refused "nobody is served without a certificate" ip netns exec "$wire" env -i "$programs/etcdctl" \
    --command-timeout=2s --endpoints "https://$subnet.2:2379" --cacert "$(host_root 1)/etc/etcd/pki/ca.crt" get foo
}

pull_wire() {
  local cut others=() number
  cut=$(leading 1 2 3) || fail "no host says that it leads"
  for number in 1 2 3; do [[ $number == "$cut" ]] || others+=("$number"); done
  check "each host knows the leader" says "${others[0]}" "serving, led by db$cut (*) in term *; revision *; 3 members;*"
  check "a put before the cut" at "${others[0]}" put cut before
  ip -n "$wire" link set "host$cut" down
  eventually "the two that are left have a leader" leading "${others[@]}"
  eventually "they take writes" at "${others[0]}" put cut after
  eventually "the one that is cut off waits for the others" \
    says "$cut" "waiting for quorum: 1 of 3 members reachable, 2 needed; reads that may be old are served; *"
  check "its service stays active" on "$cut" systemctl is-active etcd
  ip -n "$wire" link set "host$cut" up
  eventually "it follows again" says "$cut" "serving, led by *; 3 members;*"
  eventually "it has what it missed" holds "$cut" cut after
  for number in 1 2 3; do check "a put through db$number" at "$number" put "through$number" yes; done
}

end_hosts() {
  local number
  for number in 1 2 3; do check "db$number stops cleanly" stops_cleanly "$number"; done
  for number in 1 2 3; do on "$number" systemctl --no-block poweroff; done
  for number in 1 2 3; do wait "${booted[$number]}" || fail "db$number does not power off"; done
  booted=()
}
stops_cleanly() { # NUMBER
  on "$1" systemctl stop etcd && [[ $(on "$1" systemctl show --value --property Result etcd) == success ]]
}

# README's commands; the key comes by another way, as ever.
apt_from_web() { # ROOT
  install -D -m 644 "$first/etcd.asc" "$1/srv/etcd/apt/etcd.asc"
  readme 'apt-get install' | sed "s|file:/srv/etcd|$at/first|" >"$1/install"
  grep -q "] $at/first/apt stable main" "$1/install" &&
    chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive bash -e /install
}

serve_from_three_hosts() {
  local number
  mkdir "$work/hosts"
  cp -a "$base" "$work/hosts/installed"
  check "apt installs from a web server, for three hosts" apt_from_web "$work/hosts/installed"
  lay_wire
  for number in 1 2 3; do start_host "$number"; done
  for number in 1 2 3; do eventually "db$number is up" on "$number" systemctl is-active multi-user.target; done
  form_cluster
  pull_wire
  end_hosts
}

# Also after a failure in the middle of it.
clean_hosts() {
  local number space
  for number in "${!booted[@]}"; do end_container "${booted[$number]}"; done
  for space in "$wire" "$wire"-{1,2,3}; do
    if [[ -e /run/netns/$space ]]; then ip netns delete "$space"; fi
    remove_groups "$space"
  done
}
