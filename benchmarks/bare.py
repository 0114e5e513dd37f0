"""The floor under a step: the same sandbox or container, started and waited for by hand, with nothing recorded.

What is the same is not copied from the executors but overheard: a step that fails is run while somebody takes down the
words for bubblewrap or the request to the engine, and its work folder, which is kept, then serves the bare ones too.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import docker

from benchmarks.chain import StepFailed, run_pipeline
from benchmarks.project import chain_text, make_project
from benchmarks.report import LeftOut
from runner.settings import Settings

# The descriptor in $2 is opened anew, since reading it would leave nothing to the one that comes after.
_OVERHEAR = """\
#!/bin/sh
if [ "$1" = --args ]; then cat "/proc/self/fd/$2"; else printf '%s\\0' "$@"; fi >'{note}'
exec '{program}' "$@"
"""


def sandbox_command(folder: Path) -> list[str]:
    """The words that run `true` in the sandbox of a step without inputs. Raises LeftOut."""
    program = shutil.which("bwrap")
    if program is None:
        raise LeftOut("bubblewrap is not installed")
    project = make_project(folder / "failing", chain_text(1, command="'false'"))
    note, listener = folder / "words", folder / "listener" / "bwrap"
    listener.parent.mkdir()
    listener.write_text(_OVERHEAR.format(note=note, program=program))
    listener.chmod(0o755)
    environment = os.environ | {"PATH": f"{listener.parent}{os.pathsep}{os.environ['PATH']}"}
    words = ["mlrun", "pipeline", "chain", "--executor", "sandbox"]
    done = subprocess.run(words, cwd=project, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    heard = [os.fsdecode(word) for word in note.read_bytes().split(b"\0")[:-1]] if note.exists() else []
    if done.returncode != 1 or "--chdir" not in heard:
        raise LeftOut(f"the sandbox does not work here: {done.stderr.decode(errors='replace').strip()}")
    return [program, *_without(heard, "--json-status-fd"), "--", "true"]


def container_request(folder: Path, image: str, settings: Settings) -> dict[str, Any]:
    """What is asked of an engine for a step that runs `true`."""
    project = make_project(folder / "failing", chain_text(1, image, "'false'"))
    heard: list[dict[str, Any]] = []
    create: Any = docker.APIClient.create_container_from_config

    def overhear(api: docker.APIClient, config: dict[str, Any], *rest: Any) -> Any:
        heard.append(config)
        return create(api, config, *rest)

    with patch.object(docker.APIClient, "create_container_from_config", overhear), suppress(StepFailed):
        run_pipeline(project, "chain", settings)
    # The script that fails lies in the step's own folders; everything else about the container stays as it is.
    return heard[0] | {"Entrypoint": ["true"], "Cmd": []}


def _without(words: Sequence[str], option: str) -> list[str]:
    """The words without an option and its value."""
    if option not in words:
        return list(words)
    place = words.index(option)
    return [*words[:place], *words[place + 2 :]]
