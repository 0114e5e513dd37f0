"""Where a step finds its inputs and leaves its outputs: VH_INPUTS_DIR and VH_OUTPUTS_DIR, by default in /valohai."""

import os
from pathlib import Path

from iris.fault import Fault


def input_folder(name: str) -> Path:
    return Path(os.environ.get("VH_INPUTS_DIR") or "/valohai/inputs") / name


def input_files(name: str) -> list[Path]:
    """Every file of an input, in a fixed order; an input that was not given has none."""
    return sorted(path for path in input_folder(name).rglob("*") if path.is_file())


def csv_files(name: str) -> list[Path]:
    """The files of an input that has to consist of CSVs. Raises Fault for none at all, or for one of another kind."""
    files = input_files(name)
    if not files:
        raise Fault(f"input `{name}` has no file in {input_folder(name)}")
    for path in files:
        if path.suffix.lower() != ".csv":
            raise Fault(f"input `{name}`: `{path.name}` is not a .csv file")
    return files


def only_file(name: str) -> Path:
    """The file of an input that takes exactly one. Raises Fault for none or several."""
    files = input_files(name)
    if not files:
        raise Fault(f"input `{name}` has no file in {input_folder(name)}")
    if len(files) > 1:
        found = ", ".join(f"`{path.name}`" for path in files)
        raise Fault(f"input `{name}` takes one file but has {len(files)}: {found}")
    return files[0]


def output(name: str | Path) -> Path:
    """The path of an output file, its folder made."""
    path = Path(os.environ.get("VH_OUTPUTS_DIR") or "/valohai/outputs") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
