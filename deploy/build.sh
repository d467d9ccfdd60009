#!/usr/bin/env bash
# Builds what runs: static `sidecar` and `bottle` for the containers, `orchestrate` for the host,
# and with --demo also `demo` and `forge-double`. Prints the path of each binary on stdout.
#
#   build.sh            all but the demo
#   build.sh --demo     all
#   build.sh --static   the containers' binaries alone
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT"

# Told by name, since the default for aarch64 is a cross compiler's.
export "CC_${MUSL_TARGET//-/_}=musl-gcc"

build() {
  local name=$1 what=$2
  shift 2
  step "build-$name" "building $what" cargo build --locked "$@"
}

# Prints DIRECTORY/NAME for each NAME, and fails when cargo did not make one of them.
results() {
  local directory=$1 name
  shift
  for name in "$@"; do
    [[ -x $directory/$name ]] || die "cargo succeeded, but $directory/$name does not exist"
    printf '%s\n' "$directory/$name"
  done
}

static() {
  build static "sidecar and bottle ($MUSL_TARGET)" \
    --profile small --target "$MUSL_TARGET" -p bot-bottle-sidecar
  results "$TARGET_DIR/$MUSL_TARGET/small" sidecar bottle
}

daemon() {
  build daemon "orchestrate" --release -p bot-bottle-orchestrator
  results "$TARGET_DIR/release" orchestrate
}

demo() {
  build demo "demo and forge-double" --release -p e2e --bins
  results "$TARGET_DIR/release" demo forge-double
}

# One command per line: in a list joined by && a failing build would not end the script.
case ${1:-} in
  --static)
    static
    ;;
  --demo)
    static
    daemon
    demo
    ;;
  '')
    static
    daemon
    ;;
  *) die "unknown argument: $1" "build.sh takes --static, --demo, or nothing" ;;
esac
