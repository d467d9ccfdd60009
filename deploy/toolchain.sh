#!/usr/bin/env bash
# Makes sure that what builds and tests us is there: cargo, a C compiler, the musl target for the
# static binaries, and a git that can serve repositories. Installs what Debian and rustup can give.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

cd -- "$ROOT" # rustup picks the toolchain by directory

require_cargo() {
  if ! have cargo || ! have rustc; then
    die "cargo and rustc are not in the PATH, nor in ${CARGO_HOME:-$HOME/.cargo}/bin" \
      "install a Rust toolchain: https://rustup.rs"
  fi
}

ensure_c_compiler() {
  have cc || apt_install cc gcc libc6-dev # SQLite and ring are partly C
  have musl-gcc || apt_install musl-tools musl-tools
}

# Looked up in the sysroot, since rustc may come from a distribution that has no rustup.
has_musl_target() {
  [[ -d $(rustc --print sysroot)/lib/rustlib/$MUSL_TARGET/lib ]]
}

ensure_musl_target() {
  case $MUSL_TARGET in
    x86_64-* | aarch64-*) ;;
    *) die "no static build for $(uname -m)" "x86_64 and aarch64 are what Rust, musl and the base image share" ;;
  esac
  ! has_musl_target || return 0
  have rustup || die "the Rust target $MUSL_TARGET is missing, and there is no rustup to add it" \
    "install your distribution's Rust standard library for $MUSL_TARGET, or use rustup"
  step musl-target "adding the Rust target $MUSL_TARGET" rustup target add "$MUSL_TARGET"
}

# Tests and demo serve real repositories by git's own smart-HTTP program.
git_serves_http() {
  have git && [[ -x $(git --exec-path)/git-http-backend ]]
}

ensure_git() {
  git_serves_http || apt_install git git
  hash -r
  git_serves_http || die "$(command -v git) comes without git-http-backend" \
    "it hides the git that Debian installed: remove it from the PATH, or install all of it"
}

require_cargo
ensure_c_compiler
ensure_musl_target
ensure_git
say "toolchain is complete: $(rustc --version), $MUSL_TARGET, $(git --version)"
