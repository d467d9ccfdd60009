#!/usr/bin/env bash
# Makes sure the default bottle's image exists, and Debian's slim image under it: pulled where a
# registry can be reached, otherwise built from Debian's archive.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

SUITE=bookworm
BASE_IMAGE=debian:$SUITE-slim
BOTTLE_IMAGE=bot-bottle/default:$SUITE
DOCKERFILE=$ROOT/deploy/Dockerfile
# The label that says which Dockerfile an image was built from.
DIGEST_LABEL=bot-bottle.dockerfile-sha256
# Time for 30 MB over a slow line; a machine without a registry mostly fails at once.
PULL_MAX_S=20
# mmdebstrap's own hooks for a root directory in which /bin is /usr/bin from the start.
MERGED_USR_HOOKS=/usr/share/mmdebstrap/hooks/merged-usr

image_exists() {
  docker image inspect "$1" >/dev/null 2>&1
}

# The archives this machine uses for the same Debian release, as lines for a sources.list; asked of
# apt, which knows both file formats. Other vendors' archives have no place in the image. Empty on
# another release or distribution.
host_sources() {
  # shellcheck disable=SC2016  # apt's own placeholders
  apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 2>/dev/null |
    awk -v suite="$SUITE" '
      $1 == "Debian" && $4 == "main" &&
      ($3 == suite || $3 == suite "-updates" || $3 == suite "-security") { print "deb", $2, $3, $4 }' |
    sort -u
}

# apt settings of this machine that the archives need: a snapshot's dates have passed long ago.
host_apt_options() {
  apt-config dump 2>/dev/null | grep -E '^Acquire::Check-(Date|Valid-Until) ' || true
}

# apt may know a proxy that the environment does not.
use_apt_proxy() {
  local proxy=
  eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null)"
  [[ -z $proxy || $proxy == DIRECT || -n ${http_proxy:-} ]] || export http_proxy=$proxy
}

# As small as Debian's own slim image: no manuals, no translations, documents only for licences.
# shellcheck disable=SC2016  # in the hooks $1 is mmdebstrap's, the new root directory
bootstrap_to() {
  local tar=$1 sources line options=()
  mapfile -t sources < <(host_sources)
  # Without sources mmdebstrap takes Debian's main mirror, with updates and security.
  printf 'archive: %s\n' "${sources[@]:-the default mirror}"
  while read -r line; do [[ -z $line ]] || options+=(--aptopt="$line"); done < <(host_apt_options)
  # An archive reached by TLS can be read from inside the image only with certificates.
  [[ ${sources[*]:-} != *https://* ]] || options+=(--include=ca-certificates)
  # Otherwise the package usrmerge does it once, and leaves all of perl behind: 45 MB.
  [[ ! -d $MERGED_USR_HOOKS ]] || options+=(--hook-dir="$MERGED_USR_HOOKS")
  mmdebstrap --mode=root --variant=minbase --format=tar "${options[@]}" \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1/etc/hostname" "$1/etc/resolv.conf"' \
    --customize-hook='chmod 1777 "$1/tmp"' \
    "$SUITE" "$tar" "${sources[@]}"
}

# By way of a file: a bootstrap that breaks off must not be imported as if it were whole.
bootstrap_and_import() {
  local tar status=0
  tar=$(mktemp --tmpdir bot-bottle-base.XXXXXX.tar) || return
  bootstrap_to "$tar" &&
    docker import --change 'CMD ["bash"]' --message "Debian $SUITE, built by mmdebstrap" \
      "$tar" "$BASE_IMAGE" || status=$?
  rm -f -- "$tar"
  return "$status"
}

ensure_base_image() {
  ! image_exists "$BASE_IMAGE" || return 0
  say "pulling $BASE_IMAGE (at most $PULL_MAX_S s)"
  ! timeout "$PULL_MAX_S" docker pull --quiet "$BASE_IMAGE" >/dev/null 2>&1 || return 0
  say "it could not be pulled: building $BASE_IMAGE from Debian's archive instead"
  need_root "building a base image"
  have mmdebstrap || apt_install mmdebstrap mmdebstrap debian-archive-keyring
  step base-image "building $BASE_IMAGE by mmdebstrap (half a minute)" bootstrap_and_import ||
    die "there is no $BASE_IMAGE" "it needs a registry or Debian's archive: look at the network;" \
      "or bring the image by 'docker save' and 'docker load' from another machine"
}

# The Dockerfile alone, without a context: it copies nothing. The machine's own network, because a
# bridge of Docker's may have another MTU or no way out. Proxies pass as predefined build arguments,
# which leave no trace in the image.
build_bottle_image() {
  local digest=$1 name arguments=()
  # The client wants buildx for the newer builder, and Debian's docker.io has none.
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  for name in http_proxy https_proxy no_proxy; do
    [[ -z ${!name:-} ]] || arguments+=(--build-arg "$name")
  done
  docker build --network host --label "$DIGEST_LABEL=$digest" --tag "$BOTTLE_IMAGE" \
    "${arguments[@]}" - <"$DOCKERFILE"
}

ensure_bottle_image() {
  local digest built_from
  digest=$(sha256sum <"$DOCKERFILE")
  digest=${digest%% *}
  built_from=$(docker image inspect --format "{{index .Config.Labels \"$DIGEST_LABEL\"}}" \
    "$BOTTLE_IMAGE" 2>/dev/null || true)
  [[ $built_from != "$digest" ]] || return 0
  ensure_base_image
  step bottle-image "building $BOTTLE_IMAGE" build_bottle_image "$digest"
}

docker info >/dev/null 2>&1 || die "Docker does not answer" "run deploy/docker.sh first"
use_apt_proxy
ensure_base_image
ensure_bottle_image
say "images are there: $BASE_IMAGE, $BOTTLE_IMAGE"
