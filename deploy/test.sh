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

# A test program that hangs is ended with all that it started, and counts as failed.
runner=CARGO_TARGET_$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER
export "$runner=$ROOT/deploy/bounded.sh"

say "running the tests (log: $output)"
mkdir -p -- "$LOG_DIR"
# Into a file that is followed, not through a pipe: a process that a broken test left behind would
# hold the pipe open, and a reader would wait for it.
# As a job of its own, which Ctrl-C does not reach by itself: otherwise all of it would ignore SIGINT.
set -m
cargo test --workspace --locked --no-fail-fast -- "$@" >"$output" 2>&1 </dev/null &
tests_pid=$!
set +m
trap 'kill -- "-$tests_pid" 2>/dev/null' INT TERM
tail -n +1 -s 0.2 -f --pid="$tests_pid" -- "$output" &
tail_pid=$!
status=0
wait "$tests_pid" || status=$?
wait "$tail_pid" || true
trap - INT TERM

# A test program that crashes prints no result of its own: say so before the sum.
read -r passed failed skipped < <(awk '
  /^test result: / { passed += $4; failed += $6; skipped += $8 }
  END { print passed + 0, failed + 0, skipped + 0 }' "$output")
if [[ $status -ne 0 && $failed -eq 0 ]]; then
  say "cargo test ended with status $status: something did not build, or a test program crashed"
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit "$status"
