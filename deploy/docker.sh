#!/usr/bin/env bash
# Makes sure a Docker daemon answers: installs Debian's docker.io and starts it where needed.
# Does nothing when one answers already, whoever installed it.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DOCKERD_LOG=/var/log/bot-bottle-dockerd.log
DOCKERD_PIDFILE=/var/run/docker.pid
CONTAINERD_PIDFILE=/var/run/docker/containerd/containerd.pid
SOCKET=/var/run/docker.sock
# A daemon with many containers restores them before it answers.
WAIT_MAX_S=30

answers() {
  have docker && timeout 5 docker info >/dev/null 2>&1
}

# A client alone is common (static builds, images for CI), hence the look for the daemon itself.
# iptables is only recommended by docker.io, yet without it the daemon does not start.
install_missing() {
  local missing=()
  if ! have dockerd || ! have docker; then missing+=(docker.io); fi
  if ! have iptables; then missing+=(iptables); fi
  [[ ${#missing[@]} -eq 0 ]] || apt_install docker-install "${missing[@]}"
}

# The memory controller stands for all. A cgroup2 below /sys/fs/cgroup (the "unified" one of a hybrid
# set-up) has no controllers and does not count.
cgroups_mounted() {
  local point type options
  while read -r _ point type options _; do
    [[ $type != cgroup || ,$options, != *,memory,* ]] || return 0
    [[ $type != cgroup2 || $point != /sys/fs/cgroup ]] || return 0
  done </proc/mounts
  return 1
}

ensure_cgroups() {
  ! cgroups_mounted || return 0
  need_root "mounting the cgroup file systems"
  have cgroupfs-mount || apt_install cgroupfs-mount cgroupfs-mount
  step cgroups "mounting the cgroup file systems" cgroupfs-mount || true
  # Kernels built without the first version offer only the second.
  cgroups_mounted || step cgroups2 "mounting cgroup2" mount -t cgroup2 cgroup2 /sys/fs/cgroup ||
    die "the cgroup file systems cannot be mounted" \
      "Docker limits containers by them; mount /sys/fs/cgroup, or ask who runs this (virtual) machine"
}

# live_pid FILE PROGRAM: the pid in FILE if it is that of a running PROGRAM, else nothing. Asked of its
# executable, which a killed process that nobody has reaped yet no longer has.
live_pid() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  [[ $(readlink "/proc/$pid/exe") != */$2* ]] || echo "$pid"
}

# That of a dockerd which is there already, perhaps still starting.
running_pid() {
  live_pid "$DOCKERD_PIDFILE" dockerd
}

# The init.d script raises ulimits, which many containers and small virtual machines refuse; so
# without systemd the daemon is started directly. A pid file left by a crash can name a process that
# is something else by now, or not reaped: dockerd would refuse to start, or wait for a containerd
# that is gone. A containerd that lives is found and used by it.
start_directly() {
  rm -f -- "$DOCKERD_PIDFILE"
  [[ -n $(live_pid "$CONTAINERD_PIDFILE" containerd) ]] || rm -f -- "$CONTAINERD_PIDFILE"
  [[ ! -e $DOCKERD_LOG ]] || mv -f -- "$DOCKERD_LOG" "$DOCKERD_LOG.old"
  say "starting dockerd (log: $DOCKERD_LOG)"
  setsid nohup dockerd >"$DOCKERD_LOG" 2>&1 </dev/null &
  started_pid=$!
}

# By the clock, not by a count: a daemon that hangs takes its time for each question. Ends early when
# the daemon we started has ended, unless another one was faster.
wait_for_answer() {
  local deadline=$((EPOCHSECONDS + WAIT_MAX_S))
  until answers; do
    ((EPOCHSECONDS < deadline)) || return 1
    kill -0 "${started_pid:-$$}" 2>/dev/null || [[ -n $(running_pid) ]] || return 1
    sleep 0.25
  done
}

give_up() {
  if [[ -n $started_pid ]] && kill "$started_pid" 2>/dev/null; then
    wait "$started_pid" || true
    say "ended the dockerd that did not answer within $WAIT_MAX_S s"
  fi
  if [[ -d /run/systemd/system ]]; then
    die "docker.service does not start, or does not answer" "read: journalctl -u docker -n 50"
  fi
  [[ ! -s $DOCKERD_LOG ]] || show_tail "$DOCKERD_LOG"
  [[ -n $started_pid || -z $(running_pid) ]] || die "dockerd runs (pid $(running_pid)) but does not answer" \
    "if it hangs, end it (kill $(running_pid)), and run this again"
  die "Docker does not answer" "the last line of dockerd's log says why; known cases:" \
    "'iptables ... not supported': update-alternatives --set iptables /usr/sbin/iptables-legacy" \
    "'operation not permitted': the machine itself is a container without the rights for Docker"
}

main() {
  answers && { say "docker answers"; return 0; }
  [[ -z ${DOCKER_HOST:-} ]] || die "no Docker answers at DOCKER_HOST=$DOCKER_HOST" \
    "start that one, or unset DOCKER_HOST to have a local one started"
  [[ ! -S $SOCKET || -w $SOCKET ]] || die "this user may not use Docker" \
    "be root, or join the group 'docker' (which is as good as root)"
  need_root "starting Docker"
  install_missing
  started_pid=
  if [[ -d /run/systemd/system ]]; then
    step docker-start "starting docker.service" systemctl start docker || give_up
  elif [[ -n $(running_pid) ]]; then
    say "waiting for the dockerd that runs already (pid $(running_pid))"
  else
    ensure_cgroups
    start_directly
  fi
  wait_for_answer || give_up
  say "docker answers"
}

main
