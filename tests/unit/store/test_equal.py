"""Equal content that many processes store at the same time: one object, and nobody fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.store.layout import Layout
from runner.store.objects import Objects

CONTENT = {"small": b"the same" * 100, "large": b"the same" * 400_000}

SCRIPT = """
import os, sys
from pathlib import Path
from runner.store.layout import Layout
from runner.store.objects import Objects

root, way, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def store(path):
    objects = Objects(Layout(root))
    if way == "put":
        objects.put_bytes(b"the same" * count)
        return
    path.write_bytes(b"the same" * count)
    if way == "adopt":
        objects.adopt(path)
    else:
        with objects.gathering() as together:
            together.adopt(path)
    assert not path.exists()

(root / "work" / "outputs").mkdir()
receive, send = os.pipe()
children = []
for number in range(32):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(send)
            # Nobody begins before all are there: the other end is closed then.
            os.read(receive, 1)
            store(root / "work" / "outputs" / str(number))
            code = 0
        finally:
            os._exit(code)
    children.append(child)
os.close(send)
ended = [os.waitpid(child, 0)[1] for child in children]
sys.exit(sum(map(bool, ended)))
"""
"""Forks before anything is hashed: the threads that hash do not outlive a fork."""


@pytest.mark.parametrize("way", ["put", "adopt", "gather"])
@pytest.mark.parametrize("size", CONTENT)
def test_32_processes_with_the_same_content_make_one_object(layout: Layout, way: str, size: str) -> None:
    data = CONTENT[size]
    root = Path(__file__).parents[3]
    words = [sys.executable, "-c", SCRIPT, str(layout.root), way, str(len(data) // 8)]

    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    found = [path for path in layout.objects.rglob("*") if path.is_file()]
    assert found == [layout.objects / hash_bytes(data)[:2] / hash_bytes(data)]
    assert found[0].read_bytes() == data
    assert found[0].stat().st_nlink == 1
    assert Objects(layout, writable=False).verify(hash_bytes(data))
