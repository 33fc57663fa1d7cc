# The image, laid out by its Containerfile's own lines, and the manifests for Kubernetes.
# shellcheck shell=bash

# Copies what the COPY lines say, with $base in the place of the image it names.
lay_out() { # CONTEXT IMAGE
  local line words from to file
  while read -r line; do
    from=$1
    read -ra words <<<"${line#COPY }"
    while [[ ${words[0]} == --* ]]; do
      [[ ${words[0]} != --from=base ]] || from=$base
      words=("${words[@]:1}")
    done
    to=$2${words[-1]}
    if [[ -d $from/${words[0]} ]]; then
      mkdir -p "$to"
      continue
    fi
    mkdir -p "$to"
    for file in "${words[@]::${#words[@]}-1}"; do cp --dereference "$from/$file" "$to"; done
  done < <(grep '^COPY ' "$source/packaging/container/Containerfile")
}

check_image() {
  local context=$work/context image=$work/image user
  mkdir -p "$context/data" "$image"
  tar -C "$context" --strip-components=1 -xzf "$first"/etcd-v*-linux-amd64.tar.gz
  lay_out "$context" "$image"
  user=$(sed -n 's/^USER //p' "$source/packaging/container/Containerfile")
  check "the image's user is a number" test "$user" = 65532:65532
  for name in etcd etcdctl etcdutl; do
    [[ $name == etcd ]] && set -- --version || set -- version
    check "$name runs in the image, as that user" chroot --userspec="$user" "$image" "/usr/bin/$name" "$@"
  done
  check "nothing else can be run there" test "$(find "$image" -type f -perm /111 -not -name '*.so*' | wc -l)" = 3
}

check_manifests() {
  local tools=$cache/kubernetes-validate-1.37.0 folder=$work/kubernetes
  if [[ ! -x $tools/bin/kubernetes-validate ]]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
  fi
  check "Kubernetes' schema knows the manifests" \
    "$tools/bin/kubernetes-validate" --strict "$source/packaging/kubernetes/etcd.yaml"
  mkdir "$folder"
  check "the certificates of the manifests are made" \
    env PATH="$work/context:$PATH" "$source/packaging/kubernetes/make-pki" "$folder/pki"
  check "the daemon takes the settings of each member" \
    "$tools/bin/python" "$here/members.py" "$source/packaging/kubernetes/etcd.yaml" "$folder/pki" "$work/context/etcd"
}
