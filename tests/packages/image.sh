#!/usr/bin/env bash
# image.sh WORK CONTAINER: lets the container serve, and asks it. In a network of its own, as the ports are the
# usual ones; whatever it starts ends with it.
set -euo pipefail
work=$1 container=$2
in_image() {
  TMPDIR=$work buildah --root "$work/images" --runroot "$work/images-run" --storage-driver vfs run "$container" -- "$@"
}
answers() { [[ $(in_image /usr/bin/etcdctl --command-timeout=2s put foo bar 2>&1) == OK ]]; }

ip link set lo up
in_image /usr/bin/etcd >"$work/image.log" 2>&1 &
for _ in $(seq 60); do
  if answers; then served=yes && break; fi
  sleep 0.2
done
[[ -n ${served:-} ]] || { cat "$work/image.log"; exit 1; }
[[ $(in_image /usr/bin/etcdctl get --print-value-only foo) == bar ]]
[[ $(ps -C etcd -o user= -o args=) == *65532*/usr/bin/etcd ]]
