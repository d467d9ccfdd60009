#!/usr/bin/env bash
# Tries what bot-bottle needs of a forge and prints a table of it: what the server has, does
# otherwise, or lacks. Ends with 0 when all that is needed is there, 1 when not, 2 when the server
# could not be tried. Without FORGE_URL, the forge double of the tests is tried.
#
#   FORGE_URL=https://git.example.org   a Gitea or Forgejo, best one that is there for tests
#   FORGE_ADMIN_TOKEN=...               token of a site admin, with all scopes
#   FORGE_HOOK_HOST=192.0.2.7           how the server reaches this machine, for webhooks; Gitea must
#                                       allow it ([webhook] ALLOWED_HOST_LIST)
#
# Everything made on the server is named bb-contract-... and is removed at the end, also by Ctrl-C.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT"
have cargo || "$ROOT/deploy/toolchain.sh"
have git || die "git is missing" "try: make setup"
step contract "building the contract" cargo build --locked -p e2e --bin contract
exec "$TARGET_DIR/debug/contract" "$@"
