# The programs: compiled for an old glibc, and proof that they ask for nothing newer.
# shellcheck shell=bash

programs=(etcd etcdctl etcdutl)
glibc=2.17
# What the base system of CentOS 7 has; libgcc_s is not everywhere.
libraries='^(libc\.so\.6|libm\.so\.6|libdl\.so\.2|libpthread\.so\.0|librt\.so\.1|ld-linux-x86-64\.so\.2)$'
ziglang=0.17.1
zigbuild=0.24.0

build_binaries() { # FOLDER
  local built=${BINARIES:-} target=${CARGO_TARGET_DIR:-$source/target} name
  if [[ -z $built ]]; then
    compile "$target"
    built=$target/x86_64-unknown-linux-gnu/release
  fi
  mkdir -p "$1"
  for name in "${programs[@]}"; do
    [[ -f $built/$name ]] || fail "$built holds no $name"
    strip --strip-all -o "$1/$name" "$built/$name"
    chmod 755 "$1/$name"
  done
  # What BINARIES brings may be of another commit.
  local tells="$("$1/etcd" --version)"
  [[ $tells == *"etcd Version: ${version%%+*}"* && $tells == *" ${version#*+}"* ]] ||
    fail "$built/etcd is not of version $version: it says $tells"
}

# Zig's linker knows the symbols of every old glibc; the one of this machine does not matter.
compile() { # TARGET
  (
    with_zig "$1"
    cd "$source"
    cargo zigbuild --locked --release --bins --target "x86_64-unknown-linux-gnu.$glibc"
  )
}

# Puts Zig and cargo-zigbuild into the way of this shell.
with_zig() { # TARGET
  local tools=$1/packaging/zig-$ziglang-$zigbuild
  if [[ ! -x $tools/bin/cargo-zigbuild ]]; then
    python3 -m venv "$tools"
    twice "$tools/bin/pip" install --quiet --disable-pip-version-check "ziglang==$ziglang" \
      "cargo-zigbuild==$zigbuild" || fail "pip cannot install ziglang $ziglang and cargo-zigbuild $zigbuild from PyPI"
  fi
  export PATH=$tools/bin:$PATH ZIG_GLOBAL_CACHE_DIR=$1/packaging/zig-cache XDG_CACHE_HOME=$1/packaging/cache
}

check_binaries() { # FOLDER
  local name newest foreign
  for name in "${programs[@]}"; do
    newest=$(objdump -T "$1/$name" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
    [[ -n $newest ]] || fail "$name: no symbol of glibc was found; is it statically linked?"
    [[ $(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | tail -n 1) == "GLIBC_$glibc" ]] ||
      fail "$name needs $newest; CentOS 7 has GLIBC_$glibc and nothing newer"
    foreign=$(objdump -p "$1/$name" | awk '$1 == "NEEDED" { print $2 }' | grep -vE "$libraries" || true)
    [[ -z $foreign ]] || fail "$name needs libraries that CentOS 7's base system lacks: $foreign"
    objdump -p "$1/$name" | grep -qE '^ *R(UN)?PATH' && fail "$name looks for libraries in a path of the build"
    say "$name needs $newest at most"
  done
}
