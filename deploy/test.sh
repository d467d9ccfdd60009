#!/usr/bin/env bash
# Prepares the machine, then checks format and lints, builds the static binaries and runs all tests.
# Ends with one line summed over all test programs, and with cargo's exit status. Arguments go to
# the tests' own command line (`test.sh --nocapture`).
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT"
"$ROOT/deploy/setup.sh"
"$ROOT/deploy/lint.sh"
"$ROOT/deploy/build.sh" --static >/dev/null

# Where the tests find the binaries that go into containers; absolute, they run in other directories.
export BOT_BOTTLE_TEST_BIN_DIR=$TARGET_DIR/$MUSL_TARGET/small
output=$LOG_DIR/test.log

say "running the tests (log: $output)"
status=0
cargo test --workspace --locked --no-fail-fast -- "$@" 2>&1 | tee -- "$output" || status=${PIPESTATUS[0]}

# A test program that crashes prints no result of its own: say so before the sum.
read -r passed failed skipped < <(awk '
  /^test result: / { passed += $4; failed += $6; skipped += $8 }
  END { print passed + 0, failed + 0, skipped + 0 }' "$output")
if [[ $status -ne 0 && $failed -eq 0 ]]; then
  say "cargo test ended with status $status: something did not build, or a test program crashed"
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit "$status"
