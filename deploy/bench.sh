#!/usr/bin/env bash
# Measures what users wait for and what it costs, each beside its floor: a table, and
# target/bench.json. Installs and builds what it needs.
#
#   bench.sh                 everything: some minutes
#   bench.sh --quick         a few samples of everything
#   bench.sh --only NAME     one row, and those that are taken with it
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

"$ROOT/deploy/setup.sh"
"$ROOT/deploy/build.sh" >/dev/null
cd -- "$ROOT"
step build-bench "building bench" cargo build --locked --release -p e2e-bench
say "measuring; anything else that runs now shows in the figures"
exec "$TARGET_DIR/release/bench" --into "$TARGET_DIR" "$@"
