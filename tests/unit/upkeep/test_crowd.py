"""Removals beside writers, in the short form of `tests/fault/collection.py`."""

import importlib.util
import random
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "fault" / "collection.py"


def collection() -> ModuleType:
    found = importlib.util.spec_from_file_location("collection", SCRIPT)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_no_object_that_a_record_names_is_lost_to_removals_beside_writers(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    runs, lost = collection().try_it(tmp_path / "store", 4, seed, lambda: False, least=6)
    assert (runs, lost) == (24, [])
