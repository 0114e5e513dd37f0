"""Whatever happens to objects, in whatever order: what was acknowledged can be read."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.digest import Digest, hash_bytes
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.packed import read_recipe, write_recipe
from runner.store.recipe import Piece, Recipe
from runner.store.shelf import Where
from runner.store.trash import Trash
from runner.store.verified import HASHED

NUMBERS = some.integers(0, 4)
CONTENTS = [bytes([number]) * (HASHED + number if number % 2 else 100 + number) for number in range(5)]


class Store(RuleBasedStateMachine):
    """Five contents that are stored, packed, thrown away, brought back, linked and unlinked."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-test-")))
        self.layout = Layout.create_or_open(self.folder / "store")
        self.writer = Objects(self.layout)
        self.closing.callback(self.writer.close)
        self.trash = Trash(self.layout)
        self.acknowledged: set[int] = set()
        self.links: dict[str, int] = {}
        self.made = 0

    def teardown(self) -> None:
        self.closing.close()

    @rule(number=NUMBERS, adopted=some.booleans())
    def store(self, number: int, adopted: bool) -> None:
        if adopted:
            (self.folder / "file").write_bytes(CONTENTS[number])
            self.writer.adopt(self.folder / "file")
        else:
            self.writer.put_stream([CONTENTS[number]])
        self.acknowledged.add(number)

    @precondition(lambda self: self.acknowledged)
    @rule(data=some.data())
    def pack(self, data: some.DataObject) -> None:
        number = data.draw(some.sampled_from(sorted(self.acknowledged)))
        digest, content = self.digest(number), CONTENTS[number]
        if self.writer.find(digest) is not Where.WHOLE:
            return
        cut = data.draw(some.integers(1, len(content) - 1))
        sources = [self.writer.put_bytes(b"<" + content[:cut]), self.writer.put_bytes(content[cut:] + b">")]
        recipe = Recipe((Piece(sources[0], 1, cut), Piece(sources[1], 0, len(content) - cut)))
        write_recipe(self.layout.packed / digest[:2] / digest, recipe)
        self.writer.path(digest).unlink()

    @precondition(lambda self: self.acknowledged)
    @rule(data=some.data(), sources=some.booleans())
    def throw_away(self, data: some.DataObject, sources: bool) -> None:
        digest = self.digest(data.draw(some.sampled_from(sorted(self.acknowledged))))
        recipe = read_recipe(self.layout.packed / digest[:2] / digest)
        batch = self.trash.begin("gc", "me")
        for one in recipe.sources if sources and recipe is not None else [digest]:
            for top in (self.layout.objects, self.layout.packed):
                self.trash.move(batch, top / one[:2] / one)

    @rule()
    def undo(self) -> None:
        for batch in self.trash.batches()[-1:]:
            self.trash.restore(batch)

    @precondition(lambda self: self.acknowledged)
    @rule(data=some.data())
    def link(self, data: some.DataObject) -> None:
        number, name = data.draw(some.sampled_from(sorted(self.acknowledged))), f"link {self.made}"
        self.made += 1
        self.writer.materialise(self.digest(number), self.folder / name, writable=False)
        self.links[name] = number

    @precondition(lambda self: self.links)
    @rule(data=some.data(), by_us=some.booleans())
    def unlink(self, data: some.DataObject, by_us: bool) -> None:
        name = data.draw(some.sampled_from(sorted(self.links)))
        if by_us:
            folder = os.open(self.folder, os.O_RDONLY)
            self.writer.unlink(name, dir_fd=folder)
            os.close(folder)
        else:
            (self.folder / name).unlink()
        self.links.pop(name)

    @rule()
    def become_another_process(self) -> None:
        self.writer.close()
        self.writer = Objects(self.layout)
        self.closing.callback(self.writer.close)

    @rule(number=NUMBERS)
    def read(self, number: int) -> None:
        if number in self.acknowledged:
            assert self.writer.read(self.digest(number)) == CONTENTS[number]

    @invariant()
    def a_reader_reads_all_that_was_acknowledged(self) -> None:
        reader = Objects(self.layout, writable=False)
        for number in self.acknowledged:
            assert reader.read(self.digest(number)) == CONTENTS[number]
        reader.close()
        for name, number in self.links.items():
            assert (self.folder / name).read_bytes() == CONTENTS[number]

    def digest(self, number: int) -> Digest:
        return hash_bytes(CONTENTS[number])


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
