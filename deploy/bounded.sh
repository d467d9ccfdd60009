#!/usr/bin/env bash
# Runs one test program, with an end: cargo calls this as its runner (deploy/test.sh).
set -uo pipefail

# The longest program, the whole-system tests, needs a third of it on two busy cores.
MAX_S=1200

timeout --foreground --kill-after=20 "$MAX_S" "$@"
status=$?
if [[ $status -eq 124 || $status -eq 137 ]]; then
  printf 'error: %s did not end within %s s and was ended\n' "${1##*/}" "$MAX_S" >&2
fi
exit "$status"
