# A real systemd boots in a container, and guest.sh asks it for what README promises.
# shellcheck shell=bash

# What the daemon walls itself in with; machines allow it, and containers of this kind do not by themselves.
landlock="landlock_create_ruleset landlock_add_rule landlock_restrict_self"

boot() { # ROOT PART
  local root=$1 part=$2 code=0 script
  rm -rf "$root/guest"
  mkdir -p "$root/guest"
  cp "$here/guest.sh" "$root/guest/"
  readme_parts "$root/guest"
  for script in POSTIN PREUN POSTUN; do rpm -qp --qf "%{$script}" "$rpm" >"$root/guest/$script" 2>/dev/null; done
  cat >"$root/etc/systemd/system/guest.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=240
ExecStart=/bin/bash /guest/guest.sh $part
StandardOutput=append:/guest/log
StandardError=append:/guest/log
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=graphical.target
UNIT
  mkdir -p "$root/etc/systemd/system/graphical.target.wants"
  ln -sfn ../guest.service "$root/etc/systemd/system/graphical.target.wants/guest.service"
  timeout --kill-after=5 300 systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --boot \
    --private-network --console=pipe --system-call-filter="$landlock" --bind-ro="$first:/srv/etcd" --bind-ro="$second:/srv/next" \
    </dev/null >"$work/$part.console" 2>&1 &
  started=$!
  wait "$started" || code=$?
  started=""
  sed 's/^/    /' "$root/guest/log" || true
  [[ -e $root/guest/passed ]] ||
    fail "$part in a booted system (systemd-nspawn ended with $code)"$'\n'"$(tail -n 30 "$work/$part.console")"
  say "ok: $part in a booted system"
}

serve_from_rpm() {
  boot "$work/rpm-root" rpm
  boot "$work/rpm-root" rpm-again
}

serve_from_deb() {
  local root=$work/deb-root
  cp -a "$base" "$root"
  boot "$root" deb
  boot "$root" deb-again
}
