#!/usr/bin/env bash
# Makes the virtual environment `.venv` at the root of the checkout and installs the package into it, editable.
#
# usage: venv.sh EXTRA…    such as: venv.sh sklearn dev
#
# A second call costs a few milliseconds: `.venv/installed` says what was installed, from which pyproject.toml, where.
# PYTHON names the interpreter; else it is the first of the usual names that is new enough.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.venv
stamp=$venv/installed

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if new_enough "$name"; then
            printf '%s\n' "$name"
            return
        fi
    done
    name=${PYTHON:-python3}
    printf 'mlrun needs Python 3.11 or newer; %s is %s\n' "$name" "$("$name" --version 2>&1 || true)" >&2
    printf 'hint: make PYTHON=/path/to/python3.12 …\n' >&2
    return 1
}

make_venv() {
    local python
    python=$(find_python)
    # Debian keeps this part of the standard library in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$here/package.sh" "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" || {
            printf 'hint: %s cannot make virtual environments; install its module venv\n' "$python" >&2
            return 1
        }
    fi
    "$python" -m venv --clear "$venv"
}

# An environment does not survive that its checkout is moved or its interpreter replaced.
place() { printf '%s %s\n' "$root" "$("$venv/bin/python" --version 2>&1)"; }
project() { cksum <"$root/pyproject.toml"; }

[ $# -gt 0 ] || { printf 'usage: venv.sh EXTRA…\n' >&2; exit 2; }

extras=$*
had=
if [ -e "$stamp" ]; then
    { read -r had_place; read -r had_project; read -r had; } <"$stamp"
    # The stamp shows that this script made the environment, so that it may be made anew.
    if [ "$had_place" != "$(place)" ]; then
        make_venv
        had=
    fi
elif [ ! -e "$venv" ]; then
    make_venv
elif ! new_enough "$venv/bin/python"; then
    printf '%s was not made by this checkout and has no Python 3.11 or newer\nhint: move it away\n' "$venv" >&2
    exit 1
fi

# What is there already stays: `make demo` after `make test` must not take the tools away.
missing=
for extra in $extras; do
    case " $had " in *" $extra "*) ;; *) missing="$missing $extra" ;; esac
done
if [ -z "$missing" ] && [ "$had_project" = "$(project)" ]; then exit 0; fi
extras=${had:-}$missing
extras=${extras# }

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
printf 'installing mlrun with: %s\n' "$extras"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable "${root}[${extras// /,}]"
printf '%s\n%s\n%s\n' "$(place)" "$(project)" "$extras" >"$stamp"
