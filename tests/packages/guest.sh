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
journal() { # PATTERN
  journalctl --sync
  journalctl --unit=etcd --output=cat | grep --quiet -- "$1" || { echo "the journal of etcd has no '$1'"; return 1; }
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
# As root's shell would, with nothing in the environment.
bare() { env -u ETCDCTL_ENDPOINTS -u ETCDCTL_CACERT -u ETCDCTL_CERT -u ETCDCTL_KEY "$@"; }
holds() { [ "$(etcdctl get --print-value-only "$1")" = "$2" ] || { echo "$1 does not hold $2"; return 1; }; }
restarted_after() { # PID
  [ "$(shows MainPID)" != "$1" ] && is ActiveState active
}

starts() {
  refused systemctl is-enabled etcd
  refused systemctl is-active etcd
  ok "installing enabled and started nothing"
  bash -e /guest/start
  is ActiveState active
  is User etcd
  [ "$(stat -c %U "/proc/$(shows MainPID)")" = etcd ]
  ok "systemctl enable --now: active, as user etcd"
  [ "$(bare bash -e /guest/use)" = OK ]
  holds foo bar
  refused env -u ETCDCTL_CERT -u ETCDCTL_KEY etcdctl get foo
  ok "etcdctl puts and gets with its certificate, and not without"
  [[ $(systemctl status --no-pager --lines=0 etcd) == \
    *'Status: "serving as leader in term '*'; revision '*'; 1 member; '*'.crt expires in '*' days"'* ]] || { shows StatusText; return 1; }
  ok "systemctl status says: $(shows StatusText)"
  journal 'etcdctl --endpoints https://localhost:2379 put foo bar'
  journal 'etcd cert issue client NAME'
  journal 'etcd cert status'
  [ -z "$(journalctl --unit=etcd --priority=warning --output=cat --grep='hardened the process')" ]
  ok "the journal has the next commands, and priorities"
  [ "$(sed -n 's/^Seccomp:\t//p' "/proc/$(shows MainPID)/status")" = 2 ]
  ok "the unit's walls stand"
  systemctl is-active --quiet etcd-renew.timer
  systemctl start etcd-renew.service
  [ "$(systemctl show --value --property Result etcd-renew.service)" = success ]
  ok "certificates are looked at every day, and renewal runs behind its walls"
}

# What the scriptlets made is what sysusers and tmpfiles make at boot, where the root is made anew each time.
made_anew() {
  rmdir /etc/etcd/pki /var/lib/etcd
  userdel etcd
  systemd-sysusers etcd.conf
  systemd-tmpfiles --create etcd.conf
  [ "$(getent passwd etcd | cut -d: -f6,7)" = /var/lib/etcd:/usr/sbin/nologin ]
  [ "$(stat -c '%a %U %G' /etc/etcd/pki /var/lib/etcd | sort -u)" = "700 etcd etcd" ]
  ok "sysusers and tmpfiles make user and directories too"
}

# A machine whose names lead nowhere says so, and serves once that is mended.
unresolved() {
  mv /etc/hosts /etc/hosts.away
  echo "192.0.2.1 elsewhere" >/etc/hosts
  refused systemctl start etcd
  systemctl stop etcd
  journal "listen tcp localhost:23[78][09]: lookup failed: .*; use an IP address or fix the name's resolution"
  [ -n "$(journalctl --unit=etcd --priority=err --output=cat --grep='failed to start etcd')" ]
  refused journal '^<[0-9]>'
  mv /etc/hosts.away /etc/hosts
  ok "the journal says why a first start without localhost fails"
}

# The first word for what the last start had of the kernel: "writes" only where it must, or "none".
landlock() { # UNIT
  journalctl --sync
  journalctl --unit="$1" --output=cat | sed -n 's/.*"landlock":"\([a-z]*\).*/\1/p' | tail -n 1
}

plain() {
  env -u ETCDCTL_CACERT -u ETCDCTL_CERT -u ETCDCTL_KEY ETCDCTL_ENDPOINTS=http://127.0.0.1:2379 etcdctl --dial-timeout=20s "$@"
}

# etcd's tutorial, step by step: the archive in /opt, and a unit with neither user nor arguments.
tutorial() {
  local folder
  systemctl stop etcd
  refused systemctl is-active etcd-renew.timer
  tar -C /opt -xzf /srv/etcd/etcd-v*-linux-amd64.tar.gz
  folder=$(echo /opt/etcd-v*)
  cat >/usr/lib/systemd/system/tutorial.service <<UNIT
[Unit]
Description=etcd
After=network.target network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=$folder/etcd
Restart=on-failure
RestartSec=5
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl start tutorial
  systemctl --quiet enable tutorial
  systemctl --quiet is-active tutorial
  # There is no package on that machine.
  mv /etc/etcd /etc/etcd.away
  [ "$(bare "$folder/etcdctl" --endpoints=localhost:2379 put foo bar)" = OK ]
  [ "$(bare "$folder/etcdctl" get foo | xargs)" = "foo bar" ]
  mv /etc/etcd.away /etc/etcd
  [ "$(landlock tutorial)" = "$(landlock etcd)" ] || { landlock tutorial; landlock etcd; return 1; }
  ok "within the unit's walls the process builds its own as it does without ($(landlock etcd))"
  systemctl stop tutorial
  [ "$(systemctl show --value --property Result tutorial)" = success ]
  systemctl --quiet disable tutorial
  ok "the tutorial's unit serves in plaintext, as ever"
  printf '[Socket]\nListenStream=127.0.0.1:2379\nFileDescriptorName=client\n' >/etc/systemd/system/tutorial.socket
  systemctl daemon-reload
  systemctl start tutorial.socket
  refused systemctl is-active tutorial
  [ "$(plain get --print-value-only foo)" = bar ]
  systemctl is-active --quiet tutorial
  systemctl stop tutorial.socket tutorial
  ok "a socket starts it, and the client that came first is answered"
}

# One of three, and nobody else there: more time than the unit gives, as long as it says what it waits for.
waits() {
  cat >/etc/systemd/system/lonely.service <<'UNIT'
[Service]
Type=notify
TimeoutStartSec=2
ExecStart=/usr/bin/etcd --name a --data-dir /var/tmp/lonely --initial-advertise-peer-urls http://localhost:2380 \
  --initial-cluster a=http://localhost:2380,b=http://localhost:22380,c=http://localhost:32380
UNIT
  systemctl daemon-reload
  systemctl start --no-block lonely
  eventually tells lonely '*Status: "waiting for quorum: 1 of 3 members reachable, 2 needed"*'
  sleep 5
  tells lonely '*Active: activating (start)*Status: "waiting for quorum: *'
  systemctl stop lonely
  [ "$(systemctl show --value --property Result lonely)" = success ]
  ok "a member that waits for the others says so, and is given the time"
}
tells() { # UNIT PATTERN
  # Its code tells that a unit is not active.
  [[ $(systemctl status --no-pager --lines=0 "$1" || true) == $2 ]]
}

# What rpm runs, as it runs it: 1 is for an upgrade, 0 for a removal.
scriptlets() {
  local pid
  systemctl start etcd
  pid=$(shows MainPID)
  sh /guest/POSTUN 1
  restarted_after "$pid"
  systemctl stop etcd
  sh /guest/POSTUN 1
  is ActiveState inactive
  systemctl start etcd
  pid=$(shows MainPID)
  sh /guest/POSTIN 2
  sh /guest/PREUN 1
  is MainPID "$pid"
  systemctl --quiet is-enabled etcd
  sh /guest/PREUN 0
  is ActiveState inactive
  is Result success
  refused systemctl is-enabled etcd
  sh /guest/POSTUN 0
  [ -e /var/lib/etcd/default.etcd ] && [ -e /etc/etcd/pki/server.key ]
  ok "the rpm's scriptlets restart what runs, and stop and disable what goes"
}

survives() {
  local pid
  pid=$(shows MainPID)
  refused journal 'reloading certificates'
  systemctl reload etcd
  is MainPID "$pid"
  # The daemon says that it reloads, and then that it has.
  eventually is ActiveState active
  journal 'reloading certificates, log level and log files'
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

# README's commands; the repository lies where they say, or somewhere else.
apt_install() { # FOLDER
  sed "s|/srv/etcd|$1|g" /guest/install | bash -e >/dev/null
}

upgrades() {
  local pid before
  echo 'ETCD_LOG_LEVEL="warn"' >>/etc/etcd/etcd.conf
  before=$(cksum /etc/etcd/etcd.conf /etc/etcd/pki/*.crt)
  pid=$(shows MainPID)
  apt_install /srv/next
  [[ $(dpkg-query -W -f '${Version}' etcd) == *-2 ]]
  restarted_after "$pid"
  holds foo bar
  [ "$before" = "$(cksum /etc/etcd/etcd.conf /etc/etcd/pki/*.crt)" ]
  ok "upgraded: restarted, with data, certificates and the edited configuration"
  systemctl stop etcd
  apt-get -qq install --reinstall etcd >/dev/null
  is ActiveState inactive
  systemctl start etcd
  ok "a service that was stopped stays so through an upgrade"
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
  apt-get -qq remove etcd >/dev/null
  refused test -e /usr/bin/etcd
  refused test -e "/proc/$pid"
  refused systemctl is-active etcd-renew.timer
  grep -q warn /etc/etcd/etcd.conf
  ok "removed: stopped, the configuration stays"
  apt-get -qq install etcd >/dev/null
  grep -q warn /etc/etcd/etcd.conf
  systemctl --quiet is-enabled etcd
  is ActiveState inactive
  ok "installed again: as it was before, and not started"
  apt-get -qq purge etcd >/dev/null
  refused test -e /etc/etcd/etcd.conf
  test -d /var/lib/etcd/default.etcd
  test -e /etc/etcd/pki/server.key
  getent passwd etcd >/dev/null
  [ -z "$(find /etc/systemd/system /var/lib/systemd/deb-systemd-helper-* -name 'etcd.service*' -not -name '*.d')" ]
  [ "$(dpkg-query -W -f '${Status}' etcd 2>&1)" != "install ok installed" ]
  ok "purged: the configuration goes, data and certificates stay"
  apt-get -qq install etcd >/dev/null
  refused systemctl is-enabled etcd
  systemctl start etcd
  holds foo bar
  ok "installed once more, it serves the data that stayed"
}

case $1 in
rpm) made_anew; unresolved; starts; survives ;;
rpm-again) back; tutorial; waits; scriptlets ;;
deb)
  apt_install /srv/etcd
  [ "$(stat -c '%a %U %G' /etc/etcd/pki /var/lib/etcd | sort -u)" = "700 etcd etcd" ]
  ok "apt makes the directories, for the service alone"
  starts
  survives
  upgrades
  ;;
deb-again) back; leaves ;;
esac
touch /guest/passed
