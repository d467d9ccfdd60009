#!/usr/bin/env bash
# Prepares this machine to build, test and run: Docker, toolchain, images. Repeating it is cheap.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# The toolchain first: when cargo is missing, nothing has been installed for naught.
"$ROOT/deploy/toolchain.sh"
"$ROOT/deploy/docker.sh"
"$ROOT/deploy/base-image.sh"
