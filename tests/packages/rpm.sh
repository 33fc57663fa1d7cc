# Installed, upgraded and erased by dnf, from the generated repository, into a root of its own.
# shellcheck shell=bash

in_root() { chroot "$root" "$@"; }
dnf_in_root() {
  dnf --quiet --assumeyes --installroot="$root" --releasever=7 --setopt=reposdir="$work/repos" \
    --setopt=cachedir="$work/dnf" --setopt=keepcache=False --setopt=logdir="$work" "$@"
}

# The base system of CentOS 7, as far as packages ask for it, and its old etcd.
make_stand_ins() {
  local top=$work/stand-ins name
  mkdir -p "$top"
  {
    printf 'Name: centos7-base\nVersion: 7\nRelease: 1\nSummary: s\nLicense: none\nBuildArch: noarch\n'
    grep -vE '^#|^rpmlib|^/' "$here/centos7.provides" | sed 's/^/Provides: /'
    printf 'Provides: /bin/sh\n%%description\ns\n%%files\n'
  } >"$top/base.spec"
  cat >"$top/old.spec" <<'SPEC'
Name: etcd
Version: 3.3.11
Release: 2.el7
Summary: s
License: none
BuildArch: x86_64
%description
s
%install
mkdir -p %{buildroot}/etc/etcd %{buildroot}/var/lib/etcd
echo 'ETCD_NAME="default"' >%{buildroot}/etc/etcd/etcd.conf
%files
%config(noreplace) /etc/etcd/etcd.conf
%dir /var/lib/etcd
SPEC
  for name in base old; do
    rpmbuild -bb --quiet --nodeps --target x86_64-linux --define "_topdir $top" "$top/$name.spec" >"$work/stand-ins.log" 2>&1 ||
      fail "rpmbuild: $(cat "$work/stand-ins.log")"
  done
  createrepo_c --quiet "$top/RPMS"
}

# README's file for yum, with another place in it, and, in the end, another key.
use_repository() { # URL [KEY]
  mkdir -p "$work/repos"
  printf '[base]\nname=base\nbaseurl=file://%s\ngpgcheck=0\n' "$work/stand-ins/RPMS" >"$work/repos/base.repo"
  readme '[etcd]' | sed -e "s|file:///srv/etcd|$1|" -e "s|^gpgkey=.*|gpgkey=${2:-$1/yum/etcd.asc}|" \
    >"$work/repos/etcd.repo"
}

# README's command; yum is called dnf today.
yum_install() {
  local words
  read -ra words <<<"$(readme 'yum install')"
  [[ ${words[0]} == yum ]] && dnf_in_root "${words[@]:1}"
}

state_is_kept() { in_root sh -c 'test "$(cat /var/lib/etcd/kept)" = data && test "$(cat /etc/etcd/pki/kept)" = key'; }

install_by_dnf() {
  root=$work/rpm-root
  cp -a "$base" "$root"
  make_stand_ins
  use_repository "file://$work/third" "file://$first/etcd.asc"
  refused "dnf refuses packages without a signature" dnf_in_root install 'etcd > 3.5'
  use_repository "file://$first" "file://$work/stranger.asc"
  refused "dnf refuses packages of a stranger's key" dnf_in_root install 'etcd > 3.5'
  # An upgrade of CentOS's old package, whose configuration somebody has changed.
  use_repository "file://$first"
  check "dnf installs CentOS 7's etcd" dnf_in_root install etcd-3.3.11
  echo '#changed' >>"$root/etc/etcd/etcd.conf"
  check "dnf upgrades it to ours" dnf_in_root upgrade etcd
  check "the changed configuration is kept" grep -q changed "$root/etc/etcd/etcd.conf"
  check "dnf erases ours" dnf_in_root remove etcd
  check "dnf installs ours" yum_install
  check "the program runs" in_root etcd --version
  check "the user is made" in_root sh -c 'test "$(getent passwd etcd | cut -d: -f6,7)" = /var/lib/etcd:/sbin/nologin'
  check "data is the user's" test "$(in_root stat -c '%a %U %G' /var/lib/etcd)" = "700 etcd etcd"
  check "certificates are the user's" test "$(in_root stat -c '%a %U %G' /etc/etcd/pki)" = "700 etcd etcd"
  refused "nothing is enabled" in_root systemctl is-enabled etcd
  echo data >"$root/var/lib/etcd/kept"
  echo key >"$root/etc/etcd/pki/kept"
  echo '#edited' >>"$root/etc/etcd/etcd.conf"
  in_root systemctl enable --quiet etcd
  use_repository "$at/second"
  check "dnf upgrades ours, by http" dnf_in_root --refresh upgrade etcd
  check "it is the higher release" test "$(rpm --root "$root" -q --qf '%{RELEASE}' etcd)" = 2
  check "the edited configuration is kept" grep -q edited "$root/etc/etcd/etcd.conf"
  check "data and certificates are kept" state_is_kept
  check "it is still enabled" in_root systemctl is-enabled etcd
  check "dnf erases the upgrade" dnf_in_root remove etcd
  refused "the program is gone" test -e "$root/usr/bin/etcd"
  check "the edited configuration is saved" grep -q edited "$root/etc/etcd/etcd.conf.rpmsave"
  check "data and certificates stay" state_is_kept
  refused "it is not enabled any more" test -e "$root/etc/systemd/system/multi-user.target.wants/etcd.service"
  rm "$root/var/lib/etcd/kept" "$root/etc/etcd/pki/kept"
  check "dnf installs it again" dnf_in_root install etcd
}
