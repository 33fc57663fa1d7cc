# From the files to tar.gz, rpm and deb.
# shellcheck shell=bash

clocked() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

make_tar() {
  local name=etcd-v$version-linux-amd64 folder file
  folder=$work/tar/$name
  for file in "${programs[@]}"; do put 755 "$work/bin/$file" "$folder/$file"; done
  for file in README.md SECURITY.md CHANGELOG.md LICENSE packaging/etcd.conf packaging/etcd.conf.yml \
    packaging/alerts.yml packaging/dashboard.json; do
    put 644 "$source/$file" "$folder/$(basename "$file")"
  done
  cp -r "$source/systemd" "$folder"
  put 644 "$work/THIRD-PARTY" "$folder/THIRD-PARTY"
  put 644 "$out/$bill" "$folder/etcd.cdx.json"
  cp -r "$work/completions" "$work/man" "$folder"
  tar -C "$work/tar" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
}

# gzip and nothing newer: rpm 4.11 knows neither zstd nor rich dependencies. Build ids would put links
# under /usr/lib/.build-id, which other packages of these programs would fight over.
make_rpm() {
  local tree=$work/rpm/tree
  mkdir -p "$work/rpm"
  cp -a "$work/tree" "$tree"
  place_completions "$tree" /usr/share/zsh/site-functions
  put 644 "$source/LICENSE" "$tree/usr/share/doc/etcd/LICENSE"
  put 644 "$source/CHANGELOG.md" "$tree/usr/share/doc/etcd/CHANGELOG.md"
  install -d -m 700 "$tree/var/lib/etcd" "$tree/etc/etcd/pki"
  clocked "$tree"
  rpmbuild -bb --quiet --nodeps --target x86_64-linux \
    --define "_topdir $work/rpm/top" --define "tree $tree" \
    --define "package_version $version" --define "package_release $release" \
    --define "package_date $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
    --define "_binary_payload w6.gzdio" --define "_binary_filedigest_algorithm 8" \
    --define "_build_id_links none" --define "__strip /bin/true" --define "debug_package %{nil}" \
    --define "__os_install_post %{nil}" \
    --define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1" \
    --define "clamp_mtime_to_source_date_epoch 1" --define "_unitdir /usr/lib/systemd/system" \
    "$packaging/rpm/etcd.spec" >"$work/rpmbuild.log" 2>&1 || fail "rpmbuild failed: $(cat "$work/rpmbuild.log")"
  rpm_file=etcd-$version-$release.x86_64.rpm
  mv "$work/rpm/top/RPMS/x86_64/$rpm_file" "$out/$rpm_file"
}

# --rpmv3 signs header and payload together, which is all that rpm before 4.14 checks of the payload.
sign_rpm() {
  [[ -n $key ]] || return 0
  rpmsign --addsign --rpmv3 --define "_gpg_name $key" --define "__gpg $(command -v gpg)" \
    --define "_gpg_digest_algo sha256" "$out/$rpm_file" >"$work/rpmsign.log" 2>&1 ||
    fail "the rpm was not signed: $(cat "$work/rpmsign.log")"
}

make_deb() {
  local tree=$work/deb/tree doc script
  mkdir -p "$work/deb"
  cp -a "$work/tree" "$tree"
  place_completions "$tree" /usr/share/zsh/vendor-completions
  doc=$tree/usr/share/doc/etcd
  gzip -9n <"$source/CHANGELOG.md" >"$doc/changelog.gz"
  deb_changelog | gzip -9n >"$doc/changelog.Debian.gz"
  put 644 "$packaging/deb/copyright" "$doc/copyright"
  put 644 "$packaging/deb/lintian-overrides" "$tree/usr/share/lintian/overrides/etcd"
  for script in postinst prerm postrm; do put 755 "$packaging/deb/$script" "$tree/DEBIAN/$script"; done
  put 644 "$packaging/deb/conffiles" "$tree/DEBIAN/conffiles"
  sed -e "s/@VERSION@/$version-$release/" \
    -e "s/@SIZE@/$(du -k --apparent-size --summarize --exclude=DEBIAN "$tree" | cut -f 1)/" \
    "$packaging/deb/control" >"$tree/DEBIAN/control"
  (cd "$tree" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  clocked "$tree"
  deb_file=etcd_$version-${release}_amd64.deb
  dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/$deb_file" >/dev/null
}

# What changed is in CHANGELOG.md; this says which package it is.
deb_changelog() {
  local maintainer
  maintainer=$(sed -n 's/^Maintainer: //p' "$packaging/deb/control")
  printf 'etcd (%s-%s) unstable; urgency=medium\n\n  * Release %s; changelog.gz tells what is new.\n\n -- %s  %s\n' \
    "$version" "$release" "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

make_checksums() {
  (cd "$out" && sha256sum "$rpm_file" "$deb_file" "etcd-v$version-linux-amd64.tar.gz" "$bill" >SHA256SUMS)
  rm -f "$out/SHA256SUMS.asc"
  if [[ -n $key ]]; then
    sign "$out/SHA256SUMS"
    public_key "$out/etcd.asc"
  fi
}
