"""Which recipes lead to which whole objects, and how they are led elsewhere before one of those goes."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from runner.digest import Digest, is_digest
from runner.errors import MlrunError
from runner.store.durable import sync_folder
from runner.store.packed import Packed, read_recipe, write_recipe
from runner.store.recipe import Recipe, compose
from runner.upkeep.turn import Turn


class Leads:
    """The recipes of a store, those in the trash among them: they may be brought back. Methods raise OSError and
    MlrunError (STORE, DISK)."""

    def __init__(self, turn: Turn) -> None:
        self._layout = turn.layout
        self._packed = Packed(turn.layout.packed)
        self._led: dict[Digest, set[Digest]] = {}
        for digest, path in self._all():
            self._note(digest, _readable(path))

    def to(self, source: Digest) -> set[Digest]:
        """The packed objects that need this one."""
        return {digest for digest in self._led.get(source, ()) if any(self.leading(digest, {source}))}

    def put(self, digest: Digest, recipe: Recipe) -> None:
        """Write a recipe, durably."""
        self._packed.put(digest, recipe)
        self._note(digest, recipe)

    def redirect(self, recipes: Mapping[Digest, Recipe]) -> None:
        """Lead every recipe that needs one of these objects to what that one is made of, durably.

        None of `recipes` may lead to another of them.
        """
        for digest in {digest for source in recipes for digest in self._led.get(source, ())}:
            for path, recipe in self.leading(digest, recipes.keys()):
                led = compose(recipe, recipes)
                if digest in led.sources:
                    # The object is whole, and what was to be described by it describes it no more.
                    path.unlink()
                    sync_folder(path.parent)
                else:
                    write_recipe(path, led)
                    self._note(digest, led)

    def of(self, digest: Digest) -> Iterator[tuple[Path, Recipe]]:
        """The recipes of an object, and where each is. The trash comes first: they move out of it while others look."""
        for path in (*self._layout.trash.glob(f"*/packed/{digest[:2]}/{digest}"), self._packed.path(digest)):
            recipe = _readable(path)
            if recipe is not None:
                yield path, recipe

    def leading(self, digest: Digest, sources: Collection[Digest]) -> Iterator[tuple[Path, Recipe]]:
        """Those recipes of an object that need any of these."""
        return ((path, recipe) for path, recipe in self.of(digest) if not recipe.sources.isdisjoint(sources))

    def _note(self, digest: Digest, recipe: Recipe | None) -> None:
        for source in recipe.sources if recipe else ():
            self._led.setdefault(source, set()).add(digest)

    def _all(self) -> Iterator[tuple[Digest, Path]]:
        for path in self._layout.trash.glob("*/packed/??/*"):
            if is_digest(path.name):
                yield Digest(path.name), path
        for digest in self._packed.digests():
            yield digest, self._packed.path(digest)


def _readable(path: Path) -> Recipe | None:
    """The recipe in a file; None where there is none, or a damaged one: that leads nowhere."""
    try:
        return read_recipe(path)
    except MlrunError:
        return None
