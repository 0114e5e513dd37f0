"""The script `rerun.sh` of a kept work folder: repeats the step by hand, with bash and without mlrun.

Knows how each kind of executor shows the folders to a step, as far as a shell can do the same. The step gets the same
script, inputs, variables and working copy; what it writes stays in the work folder. Secrets are asked for, and reach
the step through its standard input, which no list of processes or containers shows.
"""

from collections.abc import Iterator, Mapping
from shlex import quote

from runner.escape import printable
from runner.job import Network, Staged, View
from runner.store.durable import create, disk_errors, write_all

NAME = "rerun.sh"

_START = """\
set -eu
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
"""

_INNER = """\
IFS= read -r first < "$0" || :
case $first in "#!"*) exec "$0" ;; esac
if command -v bash >/dev/null 2>&1; then exec bash "$1" "$0"; fi
exec sh "$1" "$0\""""
"""Runs inside, as `sh -c`: `$0` is the script, `$1` whether it stops at the first failure."""

_SECRETS = """\
secrets=(%s)
for name in "${secrets[@]}"; do
  if [ -z "${!name+x}" ]; then
    IFS= read -r -s -p "secret $name: " "$name" || { echo "give the secret $name, or set the variable" >&2; exit 2; }
    echo >&2
  fi
done
secrets() {
  for name in "${secrets[@]}"; do
    printf "export %%s='%%s'\\n" "$name" "$(printf %%s "${!name}" | sed "s/'/'\\\\\\\\''/g")"
  done
}
"""
"""One that lies in the environment is not asked for."""

_TAKE_SECRETS = 'eval "$(cat)"\nexec </dev/null\n'
_GIVE_SECRETS = "< <(secrets)"

_BUBBLEWRAP = """\
mounts=()
for entry in /* /home/*; do
  case $entry in
    /proc | /dev | /tmp | /run | /home | /valohai | /inputs | /outputs | /home/step) continue ;;
  esac
  if [ -L "$entry" ]; then mounts+=(--symlink "$(readlink "$entry")" "$entry")
  elif [ -d "$entry" ] && [ -r "$entry" ] && [ -x "$entry" ]; then mounts+=(--ro-bind "$entry" "$entry"); fi
done
mkdir -p "$here/scratch/home" "$here/scratch/tmp" "$here/scratch/inputs"
mounts+=(--proc /proc --dev /dev --tmpfs /run --bind "$here/scratch/tmp" /tmp --bind "$here/scratch/home" /home/step)
resolver=$(readlink -f /etc/resolv.conf || true)
if [ -n "$resolver" ]; then mounts+=(--ro-bind-try "$resolver" "$resolver"); fi
"""
"""The whole machine, read-only: whoever repeats a step by hand may see it."""

_SYSTEM = {"usr", "bin", "sbin", "lib", "lib64", "etc", "home", "tmp", "run"}
"""What a place for a host folder is not made in: the programs of the step are there."""

_LAYER = """\
path=$PATH
for folder in "$here"/scratch/home/.*/bin "$here"/scratch/home/*/bin; do
  if [ -d "$folder" ]; then path=%s/${folder#"$here/scratch/home/"}:$path; fi
done
"""
"""The step's own environment for programs comes first, as it did before."""


def write_rerun(staged: Staged, view: View, executor: str) -> None:
    """Write `rerun.sh` into the work folder. Raises MlrunError."""
    text = "\n".join(_script(staged, view, executor)) + "\n"
    root = staged.workspace.root
    with disk_errors(root):
        fd = create(root / NAME, 0o700)
        with open(fd, "wb", buffering=0) as file:
            write_all(file.fileno(), text.encode("utf-8", "surrogateescape"))


def _script(staged: Staged, view: View, executor: str) -> Iterator[str]:
    job = staged.job
    yield "#!/usr/bin/env bash"
    yield f"# Repeats step `{printable(job.step)}`, execution {printable(job.id)}, by hand: bash {NAME}"
    yield "# What it writes stays here: `outputs/` and `repository/`, which is as the step left it."
    yield _START
    if staged.secrets:
        yield _SECRETS % " ".join(staged.secrets)
    if executor == "docker":
        yield from _docker(staged, view)
    elif view.inputs == str(staged.workspace.inputs):
        yield from _plain(staged, view, staged.environment)
    else:
        yield "if command -v bwrap >/dev/null 2>&1; then"
        yield from _bubblewrap(staged, view)
        yield "fi"
        yield 'echo "bwrap is not installed: the step gets its folders where they are, not below /valohai" >&2'
        yield from _plain(staged, view, staged.environment)


def _docker(staged: Staged, view: View) -> Iterator[str]:
    """`--mount` and not `-v`, which a colon in a path breaks; its fields are CSV, hence the inner quotes."""
    job, identity = staged.job, staged.identity
    yield 'csv=${here//\\"/\\"\\"}'
    words = [
        f"exec docker run --rm --init{' -i' if staged.secrets else ''} --entrypoint /bin/sh",
        f"--workdir {quote(view.repository)}",
    ]
    if job.network is not Network.DEFAULT:
        words.append(f"--network {quote(job.network)}")
    for source, target, mode in _mounts(staged, view):
        rest = f'{_csv(source)}","target={_csv(target)}"' + (",readonly" if mode == "ro" else "")
        words.append(f'--mount "type=bind,\\"source=$csv/"{quote(rest)}')
    for granted in job.mounts:
        fields = [f"source={granted.source}", f"target={granted.target}", *(["readonly"] if granted.read_only else [])]
        words.append(f"--mount {quote('type=bind,' + ','.join(_field(field) for field in fields))}")
    words += [f"--shm-size {job.allowance.shm}"] if job.allowance.shm else []
    words += [f"--memory {job.allowance.memory}"] if job.allowance.memory else []
    if gpus := job.allowance.devices.get("nvidia.com/gpu"):
        words.append(f"--gpus {'all' if gpus < 0 else gpus}")
    words += [f"--env {quote(f'{name}={value}')}" for name, value in staged.environment.items()]
    words.append(f"-- {quote(identity.id if identity.id.startswith('sha256:') else job.image)}")
    words.append(_run(staged, f"{view.control}/script", shell=False))
    yield " \\\n  ".join(words)


def _bubblewrap(staged: Staged, view: View) -> Iterator[str]:
    yield _BUBBLEWRAP + _LAYER % "/home/step"
    words = ['exec bwrap --unshare-pid --unshare-ipc --die-with-parent --clearenv "${mounts[@]}"']
    if staged.job.network is Network.NONE:
        words.append("--unshare-net")
    for source, target, mode in _mounts(staged, view):
        words.append(f'--{"ro-" if mode == "ro" else ""}bind "$here/"{quote(source)} {quote(target)}')
    given = sorted(staged.job.mounts, key=lambda granted: granted.target)
    words += [f"--tmpfs {quote('/' + top)}" for top in sorted({one.target.split("/")[1] for one in given} - _SYSTEM)]
    words += [f"--{'ro-' if one.read_only else ''}bind {quote(one.source)} {quote(one.target)}" for one in given]
    words.append('--setenv PATH "$path" --setenv HOME /home/step --setenv TMPDIR /tmp')
    words += [f"--setenv {quote(name)} {quote(value)}" for name, value in staged.environment.items()]
    words.append(f"--chdir {quote(view.repository)} --")
    words.append(_run(staged, f"{view.control}/script", shell=True))
    yield " \\\n  ".join(words)


def _plain(staged: Staged, view: View, environment: Mapping[str, str]) -> Iterator[str]:
    yield _LAYER % '"$here"/scratch/home'
    yield 'cd -- "$here/repository"'
    words = ['exec env -i PATH="$path" HOME="$here/scratch/home"']
    folders = {f"VH_{name.upper()}_DIR" for name in ("config", "inputs", "outputs", "repository")}
    words += [f"{quote(f'{name}={value}')}" for name, value in environment.items() if name not in folders]
    words += [f'{name}="$here/{name[3:-4].lower()}"' for name in sorted(folders)]
    words.append(f'/bin/sh -c {quote(_inner(staged))} "$here/control/script" {_option(staged)}')
    words += [_GIVE_SECRETS] if staged.secrets else []
    yield " \\\n  ".join(words)


def _field(text: str) -> str:
    """A field of CSV (RFC 4180)."""
    return f'"{_csv(text)}"'


def _csv(text: str) -> str:
    """Within the double quotes of a CSV field (RFC 4180)."""
    return text.replace('"', '""')


def _run(staged: Staged, script: str, shell: bool) -> str:
    """The last words: the shell that runs the script; `shell` unless it is the entry point already."""
    words = f"{'/bin/sh ' if shell else ''}-c {quote(_inner(staged))} {quote(script)} {_option(staged)}"
    return f"{words} {_GIVE_SECRETS}" if staged.secrets else words


def _inner(staged: Staged) -> str:
    return _TAKE_SECRETS + _INNER if staged.secrets else _INNER


def _option(staged: Staged) -> str:
    return "-e" if staged.job.script.stop_at_failure else "+e"


def _mounts(staged: Staged, view: View) -> Iterator[tuple[str, str, str]]:
    """What the step sees, as (path below the work folder, target, `rw` or `ro`)."""
    given = [item.name for item in staged.job.inputs if item.files]
    for top in (view.inputs, "/inputs"):
        yield "inputs", top, "rw"
        for name in given:
            yield f"inputs/{name}", f"{top}/{name}", "ro"
    for top in (view.outputs, "/outputs"):
        yield "outputs", top, "rw"
    yield "repository", view.repository, "rw"
    yield "config", view.config, "ro"
    yield "control", view.control, "rw"
