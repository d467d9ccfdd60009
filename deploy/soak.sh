#!/usr/bin/env bash
# A day in the life: issues in several repositories while the forge, its webhooks, the daemon and
# containers fail; in the end everything must be at its right end and nothing be left.
#
#   soak.sh [MINUTES]              15 by default
#   soak.sh [MINUTES] --seed SEED  the same chances again
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

arguments=()
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  arguments=(--minutes "$1")
  shift
fi
"$ROOT/deploy/setup.sh"
"$ROOT/deploy/build.sh" >/dev/null
cd -- "$ROOT"
step build-soak "building soak" cargo build --locked --release -p e2e --bin soak
exec "$TARGET_DIR/release/soak" "${arguments[@]}" "$@"
