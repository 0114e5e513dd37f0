"""The caller's Python: which one it is, what is installed in it, and a private layer over it for one step.

Used by the executors that have no image. Asks the interpreter once and keeps the answer in a cache file together with
the stat of everything the answer depends on. Knows no executor and no name space.
"""

import json
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.digest import hash_bytes, hash_file, hash_json, hash_pieces
from runner.errors import ExitCode, MlrunError
from runner.executors.site import Site
from runner.job import Identity

LAYER = ".python"
"""The folder of the private layer below the step's home."""

_ASK_SECONDS = 60
_EDITABLE_FILES = 20_000
_PACKAGE_LISTS = (
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
)
_SHIM_FILES = (".python-version", ".tool-versions", "mise.toml", ".mise.toml")

_QUESTION = r"""
import hashlib, importlib.metadata, importlib.util, json, os, sys, sysconfig
sites = [p for p in dict.fromkeys(sys.path)
         if os.path.isdir(p) and p not in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
         and not p.endswith("lib-dynload")]
packages, editable = {}, []
for d in importlib.metadata.distributions():
    name = d.metadata["Name"]
    if not name or name in packages:
        continue
    record = d.read_text("RECORD") or d.read_text("installed-files.txt") or d.read_text("METADATA") or ""
    packages[name] = [d.version, hashlib.sha256(record.encode("utf-8", "replace")).hexdigest()]
    try:
        direct = json.loads(d.read_text("direct_url.json") or "{}")
        if direct.get("dir_info", {}).get("editable") and direct["url"].startswith("file://"):
            from urllib.parse import unquote
            editable.append(unquote(direct["url"][7:]))
    except (ValueError, AttributeError):
        pass
pip = importlib.util.find_spec("pip")
wheel = ""
if pip is None:
    import glob
    wheels = glob.glob("/usr/share/python-wheels/pip-*.whl")
    try:
        import ensurepip
        wheels += glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
    except ImportError:
        pass
    wheel = sorted(wheels)[-1] if wheels else ""
scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
def place(name):
    return os.path.relpath(sysconfig.get_path(name, scheme, {"base": "/", "platbase": "/"}), "/")
print(json.dumps({
    "executable": sys.executable, "base_executable": getattr(sys, "_base_executable", sys.executable),
    "prefix": sys.prefix, "base_prefix": sys.base_prefix, "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name, "build": sys.version, "sites": sites,
    "purelib": place("purelib"), "platlib": place("platlib"),
    "packages": packages, "editable": editable, "pip": pip is not None, "pip_wheel": wheel}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What an interpreter says of itself. `packages` maps a distribution to its version and the SHA-256 of its RECORD;
    `sites` are the folders it imports from beyond the standard library, in order; `editable` the project folders of
    editable installs; `purelib` and `platlib` where a virtual environment keeps packages; `pip_wheel` a bundled pip
    where none is installed, else empty."""

    executable: str
    base_executable: str
    prefix: str
    base_prefix: str
    version: str
    implementation: str
    build: str
    sites: tuple[str, ...]
    purelib: str
    platlib: str
    packages: Mapping[str, tuple[str, str]]
    editable: tuple[str, ...]
    pip: bool
    pip_wheel: str

    def make_layer(self, folder: Path, seen_as: str) -> None:
        """Make a virtual environment in the new `folder`, which the step will see as `seen_as`.

        It imports from the caller's folders after its own, so that an installed package hides the caller's, and
        nothing is ever written there. Every name costs a step time: there are no more than are used. Raises OSError.
        """
        short = self.version.rpartition(".")[0]
        library = folder
        folder.mkdir(parents=True)
        for part in Path(self.purelib).parts:
            library = library / part
            library.mkdir()
        if self.platlib != self.purelib:
            (folder / Path(self.platlib).parts[0]).symlink_to(Path(self.purelib).parts[0])
        binaries = folder / "bin"
        binaries.mkdir()
        (binaries / "python").symlink_to(self.base_executable)
        for name in ("python3", f"python{short}"):
            os.link(binaries / "python", binaries / name, follow_symlinks=False)
        config = f"home = {os.path.dirname(self.base_executable)}\ninclude-system-site-packages = false\n"
        (folder / "pyvenv.cfg").write_text(f"{config}version = {self.version}\n")
        (library / "caller.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in self.sites))
        if self.pip or self.pip_wheel:
            self._make_pip(binaries / "pip", seen_as)
            for name in ("pip3", f"pip{short}"):
                os.link(binaries / "pip", binaries / name)

    def _make_pip(self, program: Path, seen_as: str) -> None:
        path = f"sys.path.insert(0, {self.pip_wheel!a})\n" if self.pip_wheel else ""
        # A `#!` line can hold neither blanks nor a long path; this text is a shell script and a Python one, to which
        # any byte of a path is a letter.
        start = f"#!/bin/sh\n# coding: latin-1\n'''exec' '{seen_as}/bin/python' \"$0\" \"$@\"\n' '''\n"
        text = f"{start}import sys\n{path}from pip._internal.cli.main import main\nsys.exit(main())\n"
        with open(program, "wb", opener=lambda name, flags: os.open(name, flags, 0o755)) as file:
            file.write(os.fsencode(text))


class Callers:
    """Finds the caller's interpreter and its identity, and remembers both."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: tuple[str, list[list[object]], Interpreter] | None = None

    def interpreter(self) -> Interpreter:
        """The interpreter of the active virtual environment, else the first `python3` on PATH.

        Raises MlrunError (code EXECUTOR) where there is none or where it does not answer.
        """
        python = self._python()
        key = self._key(python)
        if self._known and self._known[0] == key and _unchanged(self._known[1]):
            return self._known[2]
        file = self._site.cache / f"interpreter-{key}.json"
        with suppress(OSError, ValueError, TypeError, KeyError):
            saved = json.loads(file.read_bytes())
            if _unchanged(saved["witness"]):
                self._known = key, saved["witness"], _from_json(saved["answer"])
                return self._known[2]
        answer = self._ask(python)
        interpreter = _from_json(answer)
        witness = [_witness(path) for path in self._depends_on(python, interpreter)]
        self._known = key, witness, interpreter
        self._save(file, {"witness": witness, "answer": answer})
        return interpreter

    def identity(self) -> Identity:
        """Digest and details of all that the step's programs come from on this machine. Raises MlrunError."""
        python = self.interpreter()
        sources = {path: _source_digest(path) for path in python.editable if not self._in_checkout(path)}
        system = {path: self._file_digest(path) for path in _PACKAGE_LISTS if os.path.isfile(path)}
        machine = f"{platform.system()} {platform.machine()}"
        told = [asdict(python) | {"sites": []}, sources, system, machine]
        return Identity(
            "host:" + hash_json(told),
            {
                "interpreter": python.executable,
                "version": python.version,
                "build": python.build,
                "distributions": sorted(f"{name}=={version}" for name, (version, _) in python.packages.items()),
                "editable": sorted(python.editable),
                "system_packages": system,
                "platform": _platform(),
            },
        )

    def _python(self) -> str:
        environment = self._site.environment
        active = environment.get("VIRTUAL_ENV")
        if active and os.access(candidate := os.path.join(active, "bin", "python"), os.X_OK):
            return candidate
        search = environment.get("PATH", os.defpath)
        found = shutil.which("python3", path=search) or shutil.which("python", path=search)
        if found is None:
            raise MlrunError(
                "there is no `python3` on PATH",
                code=ExitCode.EXECUTOR,
                hint="install Python, or activate a virtual environment",
            )
        return os.path.abspath(found)

    def _ask(self, python: str) -> dict[str, object]:
        try:
            done = subprocess.run(
                [python, "-E", "-c", _QUESTION],
                env=dict(self._site.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ASK_SECONDS,
                check=True,
            )
            answer: dict[str, object] = json.loads(done.stdout)
            return answer
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            reason = said[0] if said else f"exit {error.returncode}"
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            reason = str(error)
        raise MlrunError(
            f"the interpreter `{python}` does not answer: {reason}",
            code=ExitCode.EXECUTOR,
            hint="try it by hand, or activate another virtual environment",
        )

    def _key(self, python: str) -> str:
        """The name of the cached answer; a shim, a script that picks an interpreter, looks at more than its path."""
        told = [python]
        if _is_script(python):
            told += [str(Path.cwd()), self._site.environment.get("PYENV_VERSION", "")]
        return hash_json(told)[:32]

    def _depends_on(self, python: str, interpreter: Interpreter) -> Iterator[str]:
        """The paths whose change may change the answer."""
        yield from (python, os.path.realpath(python), interpreter.base_executable)
        yield os.path.join(interpreter.prefix, "pyvenv.cfg")
        yield from interpreter.sites
        yield from (os.path.join(path, "easy-install.pth") for path in interpreter.sites)
        if _is_script(python):
            yield os.path.join(self._site.environment.get("PYENV_ROOT", str(self._site.home / ".pyenv")), "version")
            here = Path.cwd()
            yield from (str(folder / name) for folder in (here, *here.parents) for name in _SHIM_FILES)

    def _file_digest(self, path: str) -> str:
        file = self._site.cache / f"list-{hash_bytes(os.fsencode(path))[:32]}.json"
        witness = _witness(path)
        with suppress(OSError, ValueError, TypeError, KeyError):
            saved = json.loads(file.read_bytes())
            if saved["witness"] == witness:
                return str(saved["digest"])
        try:
            digest = hash_file(Path(path))
        except OSError:
            return "unreadable"
        self._save(file, {"witness": witness, "digest": digest})
        return digest

    def _save(self, file: Path, value: Mapping[str, object]) -> None:
        """Keep `value` for the next time; not being able to is no failure."""
        if not self._site.keep:
            return
        temporary = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}")
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(value))
            temporary.replace(file)

    def _in_checkout(self, path: str) -> bool:
        checkout = self._site.checkout
        return checkout is not None and Path(path).resolve().is_relative_to(checkout.resolve())


def _platform() -> str:
    """Kernel, machine and C library, without the program that `platform.platform` starts."""
    system = os.uname()
    try:
        library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    except (OSError, ValueError):
        library = ""
    return "-".join([system.sysname, system.release, system.machine, *(["with", library] if library else [])])


def _from_json(answer: Mapping[str, object]) -> Interpreter:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in answer.items()}
    packages = answer["packages"]
    if not isinstance(packages, dict):
        raise TypeError("packages")
    fields["packages"] = {name: (str(version), str(record)) for name, (version, record) in packages.items()}
    return Interpreter(**fields)  # type: ignore[arg-type]


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _witness(path: str) -> list[object]:
    """What tells that a path is what it was, or that it is still missing."""
    try:
        found = os.stat(path)
        link = os.readlink(path) if os.path.islink(path) else ""
    except OSError:
        return [path, None]
    return [path, link, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def _unchanged(witness: Sequence[Sequence[object]]) -> bool:
    return all(_witness(str(entry[0])) == list(entry) for entry in witness)


def _source_digest(folder: str) -> str:
    """A digest over names, sizes and times of the Python files of an editable install, whose RECORD lists none."""
    pieces: list[bytes] = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__", "node_modules")))
        for name in sorted(files):
            if name.endswith((".py", ".so", ".pyx")):
                with suppress(OSError):
                    found = os.stat(os.path.join(path, name))
                    pieces.append(f"{path}/{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode("utf-8", "replace"))
        if len(pieces) > _EDITABLE_FILES:
            break
    return hash_pieces(pieces)
