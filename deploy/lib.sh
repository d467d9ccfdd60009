# shellcheck shell=bash
# What every script here shares: where things are, and how progress and failure are told.
# Source it, do not run it. Progress goes to stderr, so that stdout stays free for results.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # read by the scripts that source this file
TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
LOG_DIR=$ROOT/target/setup-logs
# The static binaries are built for the machine's own architecture; Rust and Debian agree on its name.
# shellcheck disable=SC2034  # read by the scripts that source this file
MUSL_TARGET=$(uname -m)-unknown-linux-musl

# dockerd and iptables live in sbin, rustup puts cargo in the home directory; neither has to be in
# the PATH of a shell that is not a login shell. Appended, so that what the user chose comes first.
PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin
export PATH

# Scripts call each other: the first one starts the clock for all.
export BOT_BOTTLE_STARTED_AT=${BOT_BOTTLE_STARTED_AT:-$EPOCHSECONDS}

# say TEXT: one line of progress, led by the seconds since the start.
say() {
  printf '[%4ds] %s\n' "$((EPOCHSECONDS - BOT_BOTTLE_STARTED_AT))" "$*" >&2
}

# die WHAT [HINT...]: says what is wrong, then what to do about it, a line each, and ends the script.
die() {
  say "error: $1"
  shift
  local hint
  for hint in "$@"; do printf '        %s\n' "$hint" >&2; done
  exit 1
}

# need_root WHY: ends the script unless it runs as root.
need_root() {
  [[ $EUID -eq 0 ]] || die "$1 needs root, and this is uid $EUID" "try: sudo make setup"
}

# have NAME: whether a command can be found.
have() {
  command -v "$1" >/dev/null 2>&1
}

# beat LOG: every 20 s, the last line a long step wrote; ends by itself when the script is gone.
# The sleep must not hold the script's stderr, or a reader of a pipe would wait for it.
beat() {
  while sleep 20 >/dev/null 2>&1 && kill -0 "$$" 2>/dev/null; do
    say "  ... $(tail -n 1 -- "$1" 2>/dev/null | tr -d '\r' | cut -c 1-100)"
  done
}

# step NAME WHAT COMMAND...: runs a command with its output in LOG_DIR/NAME.log. When it fails, the
# log's end is shown and its status returned. A function as COMMAND runs without errexit: chain
# what it does with &&.
step() {
  local name=$1 what=$2 log=$LOG_DIR/$1.log status=0 beat_pid
  shift 2
  say "$what"
  mkdir -p -- "$LOG_DIR"
  : >"$log"
  beat "$log" </dev/null &
  beat_pid=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$beat_pid" 2>/dev/null || true
  wait "$beat_pid" 2>/dev/null || true
  [[ $status -eq 0 ]] && return 0
  say "failed with status $status: $what"
  show_tail "$log"
  return "$status"
}

# show_tail LOG: the last lines of a log, indented and without colour, and where the rest is.
show_tail() {
  tail -n 15 -- "$1" 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g; s/^/        | /' >&2 || true
  printf '        whole log: %s\n' "$1" >&2
}

# apt_install LOG PACKAGE...: installs Debian packages. The lists are fetched first, because on a
# fresh machine they are missing or name versions the mirror no longer has.
apt_install() {
  local name=$1
  shift
  have apt-get || die "cannot install $*: there is no apt-get here" "install it by hand, then run this again"
  need_root "installing $*"
  step "$name" "installing $*" apt_get_install "$@"
}

# A machine that has just booted may still run its own updates: wait for dpkg's lock, do not fail.
apt_get_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update &&
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
}
