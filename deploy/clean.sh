#!/usr/bin/env bash
# Removes what building left behind. Debian's base image, Docker and the toolchain stay.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT"
if have docker && docker image inspect bot-bottle/default:bookworm >/dev/null 2>&1; then
  docker image rm bot-bottle/default:bookworm >/dev/null
fi
cargo clean --quiet
say "clean"
