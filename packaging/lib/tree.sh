# The files of both packages as they lie in the file system, and what the programs tell of themselves.
# shellcheck shell=bash

put() { # MODE FILE PLACE
  install -D -m "$1" "$2" "$3"
}

# Which crates are inside, and under which licences.
make_bill_of_materials() {
  bill=etcd-v$version.cdx.json
  python3 "$packaging/lib/bill.py" --version "$version" --bill "$out/$bill" --licences "$work/THIRD-PARTY" \
    "$source"
}

# Completions come from the programs. One that cannot make them says so by its exit code.
make_completions() { # FOLDER
  local name shell
  mkdir -p "$1"
  for name in etcdctl etcdutl; do
    for shell in bash zsh fish; do
      if ! "$work/bin/$name" completion "$shell" >"$1/$name.$shell" 2>/dev/null; then
        rm "$1/$name.$shell"
        say "left out: $name makes no completion for $shell"
      fi
    done
  done
}

place_completions() { # TREE ZSH-FOLDER
  local file name
  for file in "$work"/completions/*; do
    [[ -e $file ]] || continue
    name=$(basename "${file%.*}")
    case $file in
    *.bash) put 644 "$file" "$1/usr/share/bash-completion/completions/$name" ;;
    *.zsh) put 644 "$file" "$1$2/_$name" ;;
    *.fish) put 644 "$file" "$1/usr/share/fish/vendor_completions.d/$name.fish" ;;
    esac
  done
}

# The programs write their own; section 8 is about the service, of which they know nothing.
make_manuals() { # FOLDER
  mkdir -p "$1"
  "$work/bin/etcdctl" man "$1"
  sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)/" \
    "$packaging/man/etcd.8" >"$1/etcd.8"
}

make_tree() { # TREE
  local tree=$1 name doc=$1/usr/share/doc/etcd page
  make_completions "$work/completions"
  make_manuals "$work/man"
  for name in "${programs[@]}"; do put 755 "$work/bin/$name" "$tree/usr/bin/$name"; done
  for name in "$source"/systemd/*; do put 644 "$name" "$tree/usr/lib/systemd/system/$(basename "$name")"; done
  put 644 "$packaging/sysusers.conf" "$tree/usr/lib/sysusers.d/etcd.conf"
  put 644 "$packaging/tmpfiles.conf" "$tree/usr/lib/tmpfiles.d/etcd.conf"
  put 644 "$packaging/etcd.conf" "$tree/etc/etcd/etcd.conf"
  for page in "$work"/man/*; do
    install -d "$tree/usr/share/man/man${page##*.}"
    gzip -9n <"$page" >"$tree/usr/share/man/man${page##*.}/$(basename "$page").gz"
  done
  for name in README.md SECURITY.md packaging/etcd.conf.yml packaging/alerts.yml packaging/dashboard.json; do
    put 644 "$source/$name" "$doc/$(basename "$name")"
  done
  put 644 "$work/THIRD-PARTY" "$doc/THIRD-PARTY"
  put 644 "$out/$bill" "$doc/etcd.cdx.json"
  gzip -9n "$doc/THIRD-PARTY"
  find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
