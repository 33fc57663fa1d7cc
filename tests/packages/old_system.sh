#!/usr/bin/env bash
# old_system.sh ROOT: what the service does, in that root, which holds little more than the programs, and on a kernel
# that knows no newer call than Linux 3.10. In a network of its own, as the ports are the usual ones.
set -euo pipefail
root=$1
here=$(dirname "${BASH_SOURCE[0]}")
inside=(python3 "$here/old_kernel.py" env -i PATH=/usr/bin HOME=/var/lib/etcd ETCD_PKI_DIR=/etc/etcd/pki
  ETCD_REQUIRE_TLS=true ETCD_DATA_DIR=/var/lib/etcd/default.etcd "$(command -v chroot)" "$root")
# Each program on the way is replaced by the next: the child is the daemon.
start() {
  "${inside[@]}" /usr/bin/etcd >"$root/log" 2>&1 &
  etcd=$!
  for _ in $(seq 300); do
    if grep -q 'ready to serve client requests' "$root/log"; then return; fi
    kill -0 "$etcd" || break
    sleep 0.1
  done
  cat "$root/log"
  exit 1
}

ip link set lo up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
"${inside[@]}" /usr/bin/etcd cert init --if-needed
start
[[ $("${inside[@]}" /usr/bin/etcdctl put foo bar) == OK ]]
[[ $("${inside[@]}" /usr/bin/etcdctl get foo | xargs) == "foo bar" ]]
"${inside[@]}" /usr/bin/etcdctl endpoint health
kill -KILL "$etcd"
wait "$etcd" || true
start
[[ $("${inside[@]}" /usr/bin/etcdctl get --print-value-only foo) == bar ]]
kill -TERM "$etcd"
code=0
wait "$etcd" || code=$?
# It ends by the signal that it was sent.
[[ $code == 143 ]] || { echo "ended with $code"; cat "$root/log"; exit 1; }
"${inside[@]}" /usr/bin/etcdutl version
