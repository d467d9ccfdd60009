#!/usr/bin/env bash
# Builds and installs the daemon, the containers' programs and the systemd unit; starts nothing.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

need_root "installing into /usr/local"
"$ROOT/deploy/setup.sh"
"$ROOT/deploy/build.sh" >/dev/null
install -D -m 0755 "$TARGET_DIR/release/orchestrate" /usr/local/bin/orchestrate
install -D -m 0755 -t /usr/local/lib/bot-bottle "$TARGET_DIR/$MUSL_TARGET/small/sidecar" "$TARGET_DIR/$MUSL_TARGET/small/bottle"
# The systemd unit names it as its documentation.
install -D -m 0644 "$ROOT/README.md" /usr/local/share/doc/bot-bottle/README.md
if [[ -d /etc/systemd/system ]]; then
  install -m 0644 "$ROOT/deploy/bot-bottle.service" /etc/systemd/system/bot-bottle.service
fi
say "installed; next: orchestrate --config /var/lib/bot-bottle/config.toml init"
