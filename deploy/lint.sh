#!/usr/bin/env bash
# Format, lints, shell scripts, and (where cargo-deny is installed) licences and sources of what we
# depend on.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT"
step fmt "checking the format" cargo fmt --all --check
step clippy "running clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
if have shellcheck; then
  step shellcheck "checking the scripts" shellcheck -x deploy/*.sh .ci/run
fi
if cargo deny --version >/dev/null 2>&1; then
  step deny "checking dependencies" cargo deny --locked check bans licenses sources
fi
