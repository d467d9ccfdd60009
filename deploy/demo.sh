#!/usr/bin/env bash
# Plays one issue from label to merged pull request on this machine; installs and builds what it needs.
#
#   KEEP=1       stop before the merge and keep everything running until Ctrl-C
#   AGENT=NAME   another agent than the scripted one
# Further arguments go to the demo program.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

arguments=()
case ${KEEP:-0} in
  0 | no | false | '') ;;
  *) arguments+=(--keep) ;;
esac
[[ -z ${AGENT:-} ]] || arguments+=(--agent "$AGENT")

"$ROOT/deploy/setup.sh"
"$ROOT/deploy/build.sh" --demo >/dev/null
say "starting the demo"
cd -- "$ROOT"
exec "$TARGET_DIR/release/demo" "${arguments[@]}" "$@"
