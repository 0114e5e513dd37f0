"""Fetches the example files in the source distribution of `valohai-yaml`; prints the folder where they lie.

usage: official.py

They are read by tests and belong to nobody's checkout: kept in pytest's cache folder, which `make clean` removes. pip
compares the archive with the digest below before it looks inside. From the archive only regular files of known folders
are taken, each written under a name that is made here. Ends with 1 and one line of reason where that cannot be done.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.61.0"
DIGEST = "0bcbee96cd3f65b5212f5d8fb784156e6560890851310038d27420caf8838490"
"""SHA-256 of the source distribution."""

FOLDER = Path(__file__).parents[2] / ".pytest_cache" / "d" / f"valohai-yaml-{VERSION}"
MEMBER = re.compile(r"[^/]+/(?:tests/(?P<kind>error|warning|valid)_)?examples/(?P<name>[A-Za-z0-9_-]+)\.yaml")
MAX_BYTES = 1 << 20
PATIENCE = 300


def main() -> int:
    """Fetch what is not there yet."""
    if not FOLDER.is_dir():
        try:
            fetch()
        except (OSError, subprocess.TimeoutExpired, tarfile.TarError, RuntimeError) as error:
            print(f"the examples of valohai-yaml {VERSION} cannot be had: {error}", file=sys.stderr)
            return 1
    print(FOLDER)
    return 0


def fetch() -> None:
    """Make the folder, whole or not at all."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as name:
        work = Path(name)
        unpack(download(work), work / "examples")
        try:
            (work / "examples").rename(FOLDER)
        except OSError:
            # Another run was faster.
            if not FOLDER.is_dir():
                raise


def download(work: Path) -> Path:
    """The archive, which is what `DIGEST` says; pip then asks it for its metadata and needs a build tool for that."""
    wanted = work / "wanted.txt"
    wanted.write_text(f"valohai-yaml=={VERSION} --hash=sha256:{DIGEST}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-binary", "valohai-yaml", "--require-hashes"]
    command += ["--requirement", str(wanted), "--dest", str(work / "archive")]
    environment = {**os.environ, "PIP_RETRIES": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False)
    found = list((work / "archive").glob("*.tar.gz"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(next((line for line in reversed(said) if "ERROR" in line), "pip failed"))
    return found[0]


def unpack(archive: Path, folder: Path) -> None:
    """Write the examples to `folder/{plain,error,warning,valid}/NAME.yaml`."""
    with tarfile.open(archive, "r:gz") as opened:
        for member in opened:
            match = MEMBER.fullmatch(member.name)
            file = opened.extractfile(member) if match and member.isreg() and member.size <= MAX_BYTES else None
            if match and file:
                target = folder / (match["kind"] or "plain") / f"{match['name']}.yaml"
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    shutil.copyfileobj(file, copy)


if __name__ == "__main__":
    sys.exit(main())
