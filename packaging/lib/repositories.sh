# Directories that yum and apt install from, by file:// or from any web server.
# shellcheck shell=bash

# yum 3.4 reads gzip and sqlite, and neither zstd nor zchunk.
make_yum_repository() {
  local repository=$out/yum
  mkdir -p "$repository"
  cp "$out/$rpm_file" "$repository/"
  rm -rf "$repository/repodata"
  createrepo_c --quiet --checksum sha256 --compress-type gz --general-compress-type gz --database \
    --revision "$SOURCE_DATE_EPOCH" "$repository"
  if [[ -n $key ]]; then
    sign "$repository/repodata/repomd.xml"
    public_key "$repository/etcd.asc"
  fi
}

make_apt_repository() {
  local repository=$out/apt lists
  lists=$repository/dists/stable/main/binary-amd64
  mkdir -p "$repository/pool" "$lists"
  cp "$out/$deb_file" "$repository/pool/"
  (
    cd "$repository"
    rm -f dists/stable/{InRelease,Release,Release.gpg}
    apt-ftparchive packages pool >"$lists/Packages"
    gzip -9nk --force "$lists/Packages"
    apt-ftparchive -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
      -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures=amd64 \
      -o APT::FTPArchive::Release::Label=etcd release dists/stable >"$work/Release"
    mv "$work/Release" dists/stable/Release
    [[ -n $key ]] || exit 0
    gpg --batch --yes --quiet --local-user "$key" --clearsign --output dists/stable/InRelease dists/stable/Release
    gpg --batch --yes --quiet --local-user "$key" --armor --detach-sign --output dists/stable/Release.gpg \
      dists/stable/Release
    public_key etcd.asc
  )
}
