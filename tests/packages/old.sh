# What comes near to CentOS 7 where its own system cannot be had: the oldest C library that Debian still hands out,
# which like 2.17 keeps threads and names in libraries of their own, and none of the system calls that Linux 3.10 lacks.
# shellcheck shell=bash

# By apt, with lists of its own; signed by the keys that this Debian has.
fetch_old_libraries() {
  local folder=$cache/debian-11 options
  [[ ! -e $folder/complete ]] || return 0
  rm -rf "$folder"
  mkdir -p "$folder"/{lists,cache,root}/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) bullseye main" >"$folder/list"
  options=(-qq -o "Dir::Etc::SourceList=$folder/list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$folder/lists"
    -o "Dir::Cache=$folder/cache" -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update && (cd "$folder" && apt-get "${options[@]}" download libc6/bullseye) || return 0
  rm -r "$folder"/{lists,cache,root}
  touch "$folder/complete"
}

check_old_system() {
  local root=$work/old version
  mkdir -p "$root"/{dev,proc,tmp,etc/etcd,var/lib/etcd,usr/bin}
  if [[ -e $cache/debian-11/complete ]]; then
    dpkg-deb --extract "$cache"/debian-11/libc6_*.deb "$root"
  else
    say "SKIPPED: the libraries of an older system cannot be had; these are of this one"
    mkdir -p "$root"/{lib/x86_64-linux-gnu,lib64}
    cp "$base"/lib/x86_64-linux-gnu/lib{c,m,dl,pthread,rt,nss_files}.so.* "$root/lib/x86_64-linux-gnu/"
    cp "$base/lib64/ld-linux-x86-64.so.2" "$root/lib64/"
  fi
  version=$(chroot "$root" /lib/x86_64-linux-gnu/libc.so.6 | sed -n '1s/.*version \([0-9.]*[0-9]\).*/\1/p')
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
  cp "$programs"/etcd{,ctl,utl} "$root/usr/bin/"
  check "with glibc $version and Linux 3.10's system calls alone it serves by mutual TLS, and keeps its data" \
    timeout 120 unshare --net --mount --pid --fork --kill-child --mount-proc bash "$here/old_system.sh" "$root"
}
