#!/usr/bin/env bash
# Runs a command as an ordinary user who exists only while it runs, with the checkout and its interpreter in reach.
#
# usage: unprivileged.sh COMMAND…    such as: unprivileged.sh .venv/bin/python -m pytest tests/contract
# exit:  the command's code · 10 it cannot be done here (the reason is the last line on stderr)
#
# Needs root with the right to mount. Everything happens in a mount namespace of its own, so that nothing is left: the
# user's line in /etc/passwd, and the interpreter of a home that others may not enter (a pyenv in /root). The user has
# an empty home, an empty TMPDIR, and none of the caller's variables but those listed at the end.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=mlrun-test
uid=61184 # in the range that no distribution gives to users or services by itself

cannot() {
    printf 'no unprivileged user: %s\n' "$1" >&2
    exit 10
}

[ $# -gt 0 ] || { printf 'usage: unprivileged.sh COMMAND…\n' >&2; exit 2; }

if [ -z "${MLRUN_UNPRIVILEGED_HOME:-}" ]; then
    [ "$(id -u)" = 0 ] || cannot 'only root can become another user'
    unshare --mount true 2>/dev/null || cannot 'no right to mount here'
    MLRUN_UNPRIVILEGED_HOME=$(mktemp -d -t unprivileged-XXXXXX)
    export MLRUN_UNPRIVILEGED_HOME
    trap 'rm -rf --one-file-system "$MLRUN_UNPRIVILEGED_HOME"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    code=0
    unshare --mount --propagation private "$0" "$@" || code=$?
    exit "$code"
fi

# ------------------------------------------------------------------------------------------- inside the namespace ---
home=$MLRUN_UNPRIVILEGED_HOME

as_user() { setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"; }

# The outermost folder on the way to $1 that the user may not pass, nothing if there is none.
barrier() {
    local path=
    local IFS=/
    set -f
    for part in ${1#/}; do
        path=$path/$part
        if ! as_user test -x "$path"; then
            printf '%s\n' "$path"
            return
        fi
    done
}

# A folder that is closed itself (a clone in a fresh temporary folder) stays so when it is mounted: then its entries are.
put_back() {
    if [ -n "$(find "$1" -maxdepth 0 -perm -001)" ]; then
        mount --rbind "$1" "$2"
        return
    fi
    local entry place
    find "$1" -mindepth 1 -maxdepth 1 -print0 | while read -r -d '' entry; do
        place=$2/$(basename "$entry")
        if [ -L "$entry" ]; then
            cp -P "$entry" "$place"
        else
            if [ -d "$entry" ]; then mkdir "$place"; else : >"$place"; fi
            mount --rbind "$entry" "$place"
        fi
    done
}

# Lay an empty folder that all may enter over each barrier, and the needed folders back into their places below it.
open_way() {
    local needed=("$@") barriers=() path found number=0
    for path in "${needed[@]}"; do
        found=$(barrier "$path")
        if [ -n "$found" ]; then barriers+=("$found"); fi
    done
    [ ${#barriers[@]} -gt 0 ] || return 0
    local shelf=$home/shelf
    mkdir "$shelf"
    mount -t tmpfs -o mode=700 tmpfs "$shelf"
    for path in "${needed[@]}"; do
        mkdir "$shelf/$number"
        mount --rbind "$path" "$shelf/$number"
        number=$((number + 1))
    done
    printf '%s\n' "${barriers[@]}" | sort -u | while read -r path; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
    number=0
    for path in "${needed[@]}"; do
        mkdir -p "$path"
        put_back "$shelf/$number" "$path"
        number=$((number + 1))
    done
    umount -l "$shelf"
    rmdir "$shelf"
}

interpreter=$(realpath "$root/.venv/bin/python" 2>/dev/null || command -v python3)
open_way "$root" "$(dirname "$(dirname "$interpreter")")"
as_user test -r "$root/pyproject.toml" || cannot "others may not read $root"
as_user "$interpreter" -c '' 2>/dev/null || cannot "others may not run $interpreter"
# The caller stands in a folder of the old tree, which is behind what was just mounted.
cd "$PWD"

mkdir "$home/home" "$home/tmp"
cp /etc/passwd /etc/group "$home"
echo "$name:x:$uid:$uid::$home/home:/bin/sh" >>"$home/passwd"
echo "$name:x:$uid:" >>"$home/group"
mount --bind "$home/passwd" /etc/passwd
mount --bind "$home/group" /etc/group
chown "$uid:$uid" "$home/home" "$home/tmp"
chmod 755 "$home"

# A member of the group that owns the engine's socket, as a user of Docker is; never of root's own.
groups=(--clear-groups)
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
socket=${socket#unix://}
if [ -S "$socket" ] && [ "$(stat -c %g "$socket")" != 0 ]; then groups=(--groups "$(stat -c %g "$socket")"); fi

variables=(HOME="$home/home" USER="$name" LOGNAME="$name" TMPDIR="$home/tmp" PATH="$PATH" LANG="${LANG:-C.UTF-8}"
    PYTHONDONTWRITEBYTECODE=1)
for variable in CI DOCKER_HOST MLRUN_TEST_ENGINE MLRUN_TEST_NO_ENGINE TERM; do
    if [ -n "${!variable:-}" ]; then variables+=("$variable=${!variable}"); fi
done
exec setpriv --reuid "$uid" --regid "$uid" "${groups[@]}" --inh-caps=-all env -i "${variables[@]}" "$@"
