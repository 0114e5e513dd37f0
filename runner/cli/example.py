"""Where the example project lies: in the wheel, or at the root of a source checkout. Reads folders, writes nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import runner
from runner.errors import ExitCode, MlrunError

YAML = "valohai.yaml.example"

GITIGNORE = """\
__pycache__/
*.pyc
.venv/
/results/
"""

README = """\
# Iris with `mlrun`

`valohai.yaml` declares six steps and two pipelines; the programs are in `steps/`.

    mlrun pipeline "Training Pipeline"      from raw data to two measured models
    mlrun exec train --C 0.5                one step by itself
    mlrun list                              what ran, with parameters and metrics
    mlrun show latest                       everything recorded about the last execution
    mlrun outputs latest -d results         copy its files out
"""


def example_folder() -> Path:
    """The folder that holds the example's YAML file and `steps/`. Raises MlrunError when the installation lacks it."""
    package = Path(runner.__file__).resolve().parent
    for folder in (package / "_data" / "example", package.parent):
        if (folder / YAML).is_file() and (folder / "steps").is_dir():
            return folder
    raise MlrunError(
        f"the example project is missing from this installation ({package})",
        code=ExitCode.BUG,
        hint="install mlrun again",
    )


def example_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a new project as (path with `/`, content), the YAML file first. Raises OSError."""
    yield "valohai.yaml", (folder / YAML).read_bytes()
    yield ".gitignore", GITIGNORE.encode()
    yield "README.md", README.encode()
    for place, folders, names in os.walk(folder / "steps"):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            file = Path(place, name)
            if file.suffix != ".pyc" and file.is_file():
                yield file.relative_to(folder).as_posix(), file.read_bytes()
