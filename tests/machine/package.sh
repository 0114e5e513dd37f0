#!/usr/bin/env bash
# Installs Debian packages where that is allowed, quietly and without a question.
#
# usage: package.sh NAME…
# exit:  0 all of them are installed · 10 it may not install here (the reason is the last line on stderr) · 1 apt failed
#
# It may where the user is root on Debian or Ubuntu; MLRUN_INSTALL=0 forbids it there too.
set -euo pipefail

policy=/usr/sbin/policy-rc.d
marker='made for the time of one installation by tests/machine/package.sh'
log=

missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

may_not() {
    printf '%s\n' "$1" >&2
    exit 10
}

clean_up() {
    [ -z "$log" ] || rm -f "$log"
    # Only the file that this script made: an administrator's own policy stays.
    if grep -qsF "$marker" "$policy"; then rm -f "$policy"; fi
}

# A package that brings a service starts it at once, unless this hook of Debian's says no.
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\n# %s\nexit 101\n' "$marker" >"$policy"
    chmod 755 "$policy"
}

apt() {
    # The lock is waited for: another installation on this machine is no reason to fail.
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
}

[ $# -gt 0 ] || { printf 'usage: package.sh NAME…\n' >&2; exit 2; }
if ! command -v dpkg-query apt-get >/dev/null; then may_not "not installed: $* (not a Debian or Ubuntu machine)"; fi
mapfile -t names < <(missing "$@")
[ ${#names[@]} -gt 0 ] || exit 0
[ "${MLRUN_INSTALL:-1}" != 0 ] || may_not "not installed: ${names[*]} (MLRUN_INSTALL=0)"
[ "$(id -u)" = 0 ] || may_not "not installed: ${names[*]} (only root can: apt-get install ${names[*]})"

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
log=$(mktemp)
forbid_services
printf 'installing %s\n' "${names[*]}"
# The package lists may be absent (a fresh container image) or old (files gone from the mirror): both end in an error
# of the first try, and asking for fresh lists only then spares every other machine the wait.
if ! apt install --no-install-recommends "${names[@]}"; then
    if ! { apt update && apt install --no-install-recommends "${names[@]}"; }; then
        tail -n 20 "$log" >&2
        exit 1
    fi
fi
