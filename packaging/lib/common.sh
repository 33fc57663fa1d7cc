# What all parts of packaging/build use: words, tools, version, key.
# shellcheck shell=bash

say() { printf 'packaging/build: %s\n' "$*"; }
fail() {
  printf 'packaging/build: %s\n' "$*" >&2
  exit 1
}

key=${SIGNING_KEY:-}
release=${PACKAGE_RELEASE:-1}

# Every tool by its Debian package; all of them are asked for at once.
need_tools() {
  local missing=() tool
  for tool in rpmbuild:rpm rpmsign:rpm createrepo_c:createrepo-c apt-ftparchive:apt-utils dpkg-deb:dpkg \
    gpg:gnupg objdump:binutils python3:python3 xz:xz-utils; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  [[ ${#missing[@]} == 0 ]] || fail "these Debian packages are missing: ${missing[*]}"
  [[ $release =~ ^[1-9][0-9]*$ ]] || fail "PACKAGE_RELEASE is a number from 1 on, not '$release'"
  [[ -z $key ]] || gpg --batch --list-secret-keys "$key" >/dev/null 2>&1 ||
    fail "SIGNING_KEY is '$key', but GnuPG's keyring has no secret key of that name"
}

# The API's version comes first, so that the packages follow those of etcd 3.3 and 3.5; README.md tells more.
read_version() {
  local api ours
  api=$(sed -n 's/^pub const ETCD_API: &str = "\(.*\)";$/\1/p' "$source/src/types/version.rs")
  ours=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source/Cargo.toml" | head -n 1)
  [[ -n $api && -n $ours ]] || fail "src/types/version.rs or Cargo.toml does not tell the version"
  version=$api+$ours
  if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2>/dev/null || stat -c %Y "$source/Cargo.toml")
  fi
  export SOURCE_DATE_EPOCH
}

# A signature of a file beside it, in ASCII.
sign() { # FILE
  gpg --batch --yes --quiet --local-user "$key" --armor --detach-sign --output "$1.asc" "$1"
}

public_key() { # FILE
  gpg --batch --quiet --armor --export "$key" >"$1"
}
