"""Other tools, each in a virtual environment of its own in the cache, so that nothing of theirs meets ours."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import LeftOut
from benchmarks.setting import Setting


@dataclass(frozen=True, slots=True)
class Peer:
    """An installed tool: `title` is its name and version, `program` what to call."""

    title: str
    program: str


def find_peer(setting: Setting, name: str) -> Peer:
    """The tool of this name, from the package of the same name, installed if the user asks for it. Raises LeftOut."""
    home = setting.cache / name
    complete = home / "complete"
    if not complete.exists():
        if not setting.peers:
            raise LeftOut(f"{name} is not installed: `--peers` installs it in {home}")
        _install(name, home)
        complete.touch()
    version = next(home.glob(f"lib/python*/site-packages/{name}-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    return Peer(f"{name} {version}", str(home / "bin" / name))


def _install(package: str, home: Path) -> None:
    try:
        for words in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(home / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", package],
        ):
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise LeftOut(f"{package} cannot be installed: {said.splitlines()[-1]}") from error


def find_package(setting: Setting, name: str) -> Peer:
    """The tool of this name: installed on this machine, or from Debian's package of the same name, unpacked into the
    cache if the user asks for it. Raises LeftOut."""
    program = shutil.which(name) or str(setting.cache / name / "usr/bin" / name)
    if not Path(program).exists():
        if not setting.peers:
            raise LeftOut(f"{name} is not installed: `--peers` unpacks it in {setting.cache / name}")
        _unpack(name, setting.cache / name)
    done = subprocess.run([program, "version"], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return Peer(" ".join(done.stdout.split()[:2]), program)


def _unpack(package: str, home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        download = ["apt-get", "download", package]
        subprocess.run(download, cwd=home, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        for file in home.glob("*.deb"):
            subprocess.run(["dpkg", "-x", file, home], check=True, stdin=subprocess.DEVNULL, capture_output=True)
            file.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
        raise LeftOut(f"{package} cannot be installed: {said.splitlines()[-1]}") from error
