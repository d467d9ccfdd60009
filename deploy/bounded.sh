#!/usr/bin/env bash
# Runs one test program, with an end: cargo calls this as its runner (deploy/test.sh).
set -uo pipefail

# The longest program, the whole-system tests, needs a third of it on two busy cores.
MAX_S=1200

# As a job, so that `timeout` ends all that the program started, and SIGINT is not ignored in it.
set -m
timeout --kill-after=20 "$MAX_S" "$@" &
pid=$!
set +m
trap 'kill "$pid" 2>/dev/null' INT TERM
wait "$pid"
status=$?
wait "$pid" 2>/dev/null
if [[ $status -eq 124 || $status -eq 137 ]]; then
  printf 'error: %s did not end within %s s and was ended\n' "${1##*/}" "$MAX_S" >&2
fi
exit "$status"
