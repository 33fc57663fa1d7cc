#!/bin/bash
# Runs as root in the booted container: guest.sh PART. It leaves /guest/passed if all is as it should be.
set -euo pipefail
ended() {
  [ "$1" != 0 ] || return 0
  echo "FAILED after the last line that says ok"
  journalctl --sync
  systemctl status --no-pager --full --lines=0 etcd
  journalctl --no-pager --lines=40 --output=cat --unit=etcd
}
trap 'ended $?' EXIT

export HOME=/root DEBIAN_FRONTEND=noninteractive
export ETCDCTL_ENDPOINTS=https://localhost:2379 ETCDCTL_CACERT=/etc/etcd/pki/ca.crt
export ETCDCTL_CERT=/etc/etcd/pki/clients/admin.crt ETCDCTL_KEY=/etc/etcd/pki/clients/admin.key

ok() { echo "ok: $*"; }
shows() { systemctl show --value --property "$1" etcd; }
is() { # PROPERTY VALUE
  [ "$(shows "$1")" = "$2" ] || { echo "$1 is '$(shows "$1")', not '$2'"; return 1; }
}
# A plain ! would not end the script.
refused() { # COMMAND...
  if "$@" >/dev/null 2>&1; then echo "this was not to succeed: $*"; return 1; fi
}
eventually() { # COMMAND...
  local tries
  for tries in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "never became true: $*"
  return 1
}
holds() { [ "$(etcdctl get --print-value-only "$1")" = "$2" ] || { echo "$1 does not hold $2"; return 1; }; }
restarted_after() { # PID
  [ "$(shows MainPID)" != "$1" ] && is ActiveState active
}

starts() {
  refused systemctl is-enabled etcd
  refused systemctl is-active etcd
  ok "installing enabled and started nothing"
  systemctl enable --now etcd
  is ActiveState active
  is User etcd
  [ "$(stat -c %U "/proc/$(shows MainPID)")" = etcd ]
  ok "systemctl enable --now: active, as user etcd"
  [ "$(etcdctl put foo bar)" = OK ]
  holds foo bar
  refused env -u ETCDCTL_CERT -u ETCDCTL_KEY etcdctl get foo
  ok "etcdctl puts and gets with its certificate, and not without"
  [[ $(shows StatusText) == *revision* ]] || { shows StatusText; return 1; }
  ok "systemctl status says: $(shows StatusText)"
}

survives() {
  local pid
  pid=$(shows MainPID)
  systemctl reload etcd
  is MainPID "$pid"
  ok "reloaded in place"
  kill -KILL "$pid"
  eventually restarted_after "$pid"
  holds foo bar
  ok "restarted after kill -9, with its data"
  # Shorter times than the unit's, for a test; a stopped process cannot obey the watchdog's signal.
  mkdir -p /etc/systemd/system/etcd.service.d
  printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=1\n' >/etc/systemd/system/etcd.service.d/test.conf
  systemctl daemon-reload
  systemctl restart etcd
  pid=$(shows MainPID)
  kill -STOP "$pid"
  eventually restarted_after "$pid"
  holds foo bar
  rm -r /etc/systemd/system/etcd.service.d
  systemctl daemon-reload
  ok "restarted by the watchdog when stuck"
  systemctl stop etcd
  is ActiveState inactive
  is Result success
  systemctl start etcd
  holds foo bar
  ok "stopped cleanly, and started again with its data"
}

apt_source() { # FOLDER
  install -D -m 644 "$1/apt/etcd.asc" /etc/apt/keyrings/etcd.asc
  echo "deb [signed-by=/etc/apt/keyrings/etcd.asc] file:$1/apt stable main" >/etc/apt/sources.list.d/etcd.list
  # Only this repository: there is no network here.
  apt-get -qq update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/etcd.list -o Dir::Etc::sourceparts=-
}

upgrades() {
  local pid before
  echo 'ETCD_LOG_LEVEL="warn"' >>/etc/etcd/etcd.conf
  before=$(cksum /etc/etcd/etcd.conf /etc/etcd/pki/*.crt)
  pid=$(shows MainPID)
  apt_source /srv/next
  apt-get -qq install --yes etcd >/dev/null
  [[ $(dpkg-query -W -f '${Version}' etcd) == *-2 ]]
  restarted_after "$pid"
  holds foo bar
  [ "$before" = "$(cksum /etc/etcd/etcd.conf /etc/etcd/pki/*.crt)" ]
  ok "upgraded: restarted, with data, certificates and the edited configuration"
}

back() {
  eventually is ActiveState active
  systemctl --quiet is-enabled etcd
  holds foo bar
  ok "after a reboot it is enabled, active and has its data"
}

leaves() {
  local pid
  pid=$(shows MainPID)
  apt-get -qq remove --yes etcd >/dev/null
  refused test -e /usr/bin/etcd
  refused test -e "/proc/$pid"
  grep -q warn /etc/etcd/etcd.conf
  ok "removed: stopped, the configuration stays"
  apt-get -qq purge --yes etcd >/dev/null
  refused test -e /etc/etcd/etcd.conf
  test -d /var/lib/etcd/default.etcd
  test -e /etc/etcd/pki/server.key
  getent passwd etcd >/dev/null
  ok "purged: the configuration goes, data and certificates stay"
}

case $1 in
rpm) starts; survives ;;
rpm-again) back ;;
deb)
  apt_source /srv/etcd
  apt-get -qq install --yes etcd >/dev/null
  starts
  survives
  upgrades
  ;;
deb-again) back; leaves ;;
esac
touch /guest/passed
