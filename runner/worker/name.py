"""Names for the files that one execution leaves: a path that comes again gets a version, `path~2`, `path~3`, … Pure."""

from collections.abc import Iterable


class Names:
    """Gives every file a name of its own, none of those in `used`; however many versions, in constant time."""

    def __init__(self, used: Iterable[str] = ()) -> None:
        self._used = set(used)
        self._last: dict[str, int] = {}

    def give(self, path: str) -> tuple[str, int]:
        """The name of one more file from `path`, and the number in it, 1 for the path itself."""
        name, number = path, self._last.get(path, 1)
        while name in self._used:
            number += 1
            name = f"{path}~{number}"
        self._last[path] = number
        self._used.add(name)
        return name, number
