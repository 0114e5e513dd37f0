"""Puts the images that the Docker tests need into an engine, without any registry.

Each script in `image/` makes the root file system of one image, `mlrun-test/NAME:1`. The tarball is kept in the user's
cache under a digest of what it is made from, and the image carries the same digest as a label, so that neither is made
twice. Knows recipes, cache and labels; does not know where the engine comes from.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from api import Engine, EngineError
from package import Missing, install

RECIPES = Path(__file__).parent / "image"
LABEL = "mlrun-test.recipe"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlrun-test"


def provide_images(engine: Engine) -> None:
    """Make every image of `image/` present; one that cannot be made here is left out, and the reason is printed."""
    for recipe in sorted(RECIPES.glob("*.sh")):
        name, key = f"mlrun-test/{recipe.stem}:1", _key(recipe)
        found = engine.image(name)
        if found and (found["Config"].get("Labels") or {}).get(LABEL) == key:
            continue
        try:
            tarball = _tarball(recipe, key)
        except Missing as reason:
            print(f"image: no {name}: {reason}", file=sys.stderr)
            continue
        began = time.monotonic()
        changes = [f"LABEL {LABEL}={key}", f"ENV PATH={PATH}", 'CMD ["sh"]']
        engine.import_image(tarball, name, changes)
        if found:
            # The engine may be the user's own: an outdated image would stay there for ever, without a name.
            with contextlib.suppress(EngineError):
                engine.remove_image(found["Id"])
        print(f"image: {name} imported in {time.monotonic() - began:.1f} s", file=sys.stderr)


def _key(recipe: Path) -> str:
    """A digest of everything that decides the bytes of the image, but for the packages' versions."""
    release: dict[str, str] = {}
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
    machine = [release.get("ID"), release.get("VERSION_CODENAME"), platform.machine()]
    return hashlib.sha256(recipe.read_bytes() + repr(machine).encode()).hexdigest()[:16]


def _tarball(recipe: Path, key: str) -> Path:
    folder = cache_folder() / "image"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise Missing(f"no cache folder (XDG_CACHE_HOME names another place): {why}") from why
    target = folder / f"{recipe.stem}-{key}.tar"
    with _lock(folder / "lock"):
        if target.exists():
            return target
        needs = next(line for line in recipe.read_text().splitlines() if line.startswith("# needs:"))
        install(*needs.removeprefix("# needs:").split())
        print(f"image: making {recipe.stem}, once", file=sys.stderr)
        began = time.monotonic()
        part = folder / f"{recipe.stem}.part.tar"
        _run(recipe, part, folder / "work")
        for outdated in folder.glob(f"{recipe.stem}-*.tar"):
            outdated.unlink()
        part.replace(target)
        print(f"image: {recipe.stem} made in {time.monotonic() - began:.0f} s, kept as {target}", file=sys.stderr)
    return target


def _run(recipe: Path, target: Path, note: Path) -> None:
    """Run one recipe so that nothing of it can outlive this process: no mount and no process.

    The temporary folder is noted, so that the next run removes it should this one be killed.
    """
    if note.exists():
        remove_tree(Path(note.read_text()))
    command = [str(recipe), str(target)]
    if os.geteuid() == 0:
        # Bootstrapping mounts /proc and /sys in the new root and starts many programs; both end with the namespaces.
        namespaces = ["--mount", "--propagation", "slave", "--pid", "--mount-proc", "--fork", "--kill-child"]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--", *command]
    work = Path(tempfile.mkdtemp(prefix="mlrun-image-"))
    note.write_text(str(work))
    # apt fetches as a user of its own, who must reach the folder.
    work.chmod(0o755)
    try:
        # A session of its own: Ctrl-C comes here alone, and ends it through `unshare`, all of it at once.
        subprocess.run(
            command, cwd=work, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        remove_tree(work)
        note.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a temporary folder in which a process that was just killed may still be writing for a moment."""
    if not folder.name.startswith("mlrun-"):
        # Its path may come from a note that was cut short, and an empty path is the current folder.
        return
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
