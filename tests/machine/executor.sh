#!/usr/bin/env bash
# Prints the executor that needs no container engine here: `sandbox` where bubblewrap works, else `process`.
# Installs bubblewrap where it may; why it is not to be had is said in one line on stderr.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

works() { bwrap --ro-bind / / --unshare-pid --proc /proc true >/dev/null 2>&1; }

why='bubblewrap is here, but may not make a namespace'
if ! command -v bwrap >/dev/null; then
    why=$("$here/package.sh" bubblewrap 2>&1 >/dev/null | tail -n 1) || true
fi
if works; then
    echo sandbox
else
    printf 'no sandbox: %s; steps run without isolation\n' "$why" >&2
    echo process
fi
