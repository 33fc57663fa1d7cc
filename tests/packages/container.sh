# The image, built from its Containerfile and run, and the manifests for Kubernetes.
# shellcheck shell=bash

# Everything of it is in the test's own folder; no daemon, no registry, no privileges beyond chroot.
images() { TMPDIR=$work buildah --root "$work/images" --runroot "$work/images-run" --storage-driver vfs "$@"; }
export BUILDAH_ISOLATION=chroot

# In the place of the image that the Containerfile takes its libraries from: those of a Debian, likewise.
make_stand_in_image() {
  local container
  tar -C "$base" -cf "$work/libraries.tar" lib lib64 usr/lib64 usr/lib/x86_64-linux-gnu
  container=$(images from scratch)
  images add --quiet "$container" "$work/libraries.tar" / >/dev/null
  images commit --quiet "$container" localhost/base >/dev/null
  images rm "$container" >/dev/null
}

check_image() {
  local context=$work/context container root user
  mkdir -p "$context/data"
  tar -C "$context" --strip-components=1 -xzf "$first"/etcd-v*-linux-amd64.tar.gz
  make_stand_in_image
  check "the image is built" images build --build-arg BASE=localhost/base --tag etcd \
    --file "$source/packaging/container/Containerfile" "$context"
  container=$(images from --pull-never localhost/etcd)
  root=$(images mount "$container")
  user=$(images inspect --format '{{.OCIv1.Config.User}}' "$container")
  check "the image's user is a number" test "$user" = 65532:65532
  check "nothing else can be run there" \
    test "$(find "$root" -type f -perm /111 -not -name '*.so*' -printf '%P\n' | sort | xargs)" = \
    "usr/bin/etcd usr/bin/etcdctl usr/bin/etcdutl"
  for name in etcdctl etcdutl; do
    check "$name runs in the image" images run "$container" -- "/usr/bin/$name" version
  done
  check "the image serves" timeout 120 unshare --net --pid --fork --kill-child --mount-proc \
    bash "$here/image.sh" "$work" "$container"
  images umount "$container" >/dev/null
}

fetch_validator() {
  [[ ! -x $validator/bin/kubernetes-validate ]] || return 0
  python3 -m venv "$validator"
  twice "$validator/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==${validator##*-}" ||
    fail "pip cannot install kubernetes-validate ${validator##*-} from PyPI"
}

check_manifests() {
  local folder=$work/kubernetes
  check "Kubernetes' schema knows the manifests" \
    "$validator/bin/kubernetes-validate" --strict "$source/packaging/kubernetes/etcd.yaml"
  sed 's/readinessProbe/readynessProbe/' "$source/packaging/kubernetes/etcd.yaml" >"$work/wrong.yaml"
  refused "Kubernetes' schema finds a fault" "$validator/bin/kubernetes-validate" --strict "$work/wrong.yaml"
  mkdir "$folder"
  check "the certificates of the manifests are made" \
    env PATH="$programs:$PATH" "$source/packaging/kubernetes/make-pki" "$folder/pki"
  check "three members with the settings of the manifests are ready, and one cluster" \
    timeout 120 unshare --net --mount --pid --fork --kill-child --mount-proc "$validator/bin/python" "$here/members.py" \
    "$source/packaging/kubernetes/etcd.yaml" "$folder/pki-authority" "$folder/pki" "$programs"
}
