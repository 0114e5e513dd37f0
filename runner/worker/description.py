"""Gathers the properties of one execution's outputs from sidecars, and tells what cannot be understood. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner.digest import canonical_json
from runner.escape import printable
from runner.worker.sidecar import (
    LINES,
    LINES_BYTES,
    SIDECAR_BYTES,
    BadProperties,
    described_name,
    merged,
    read_lines,
    read_sidecar,
    wishes,
)
from runner.worker.tally import Tally


def most_bytes(name: str) -> int:
    """How much of a sidecar, or of the file of lines, is worth reading: one byte more than it may have."""
    return (LINES_BYTES if name == LINES else SIDECAR_BYTES) + 1


class Descriptions:
    """Properties by the recorded name of an output; `most` bounds the bytes of all of them together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._found: dict[str, list[Mapping[str, Any]]] = {}
        self._kept = Tally("is kept as an output")
        self._ignored = Tally("is ignored in this")

    def of(self, name: str) -> Mapping[str, Any]:
        """The properties of an output."""
        return merged(*self._found.get(name, ()))

    def take(self, name: str, data: bytes, known: Mapping[str, str]) -> bool:
        """Read a sidecar or the file of lines; whether it did its work and can go. `known` are the outputs: their
        recorded names by their paths."""
        if name == LINES:
            return self._take_lines(data, known)
        described = described_name(name) or ""
        if described not in known:
            self._kept.add(name, f"describes no output: there is no `{printable(described)}`")
            return False
        try:
            self._add(name, known[described], read_sidecar(data))
        except BadProperties as error:
            self._kept.add(name, str(error))
            return False
        return True

    def warnings(self) -> Iterator[str]:
        """What was not understood."""
        yield from self._kept.warnings()
        yield from self._ignored.warnings()

    def _take_lines(self, data: bytes, known: Mapping[str, str]) -> bool:
        if len(data) > LINES_BYTES:
            self._kept.add(LINES, f"is larger than {LINES_BYTES:,} bytes")
            return False
        understood = not data.strip()
        for path, properties in read_lines(data, lambda why: self._ignored.add(LINES, why)):
            understood = True
            if path in known:
                self._add(LINES, known[path], properties)
            else:
                self._ignored.add(LINES, f"names `{printable(path)}`, which is no output")
        return understood

    def _add(self, source: str, name: str, properties: Mapping[str, Any]) -> None:
        size = len(canonical_json(properties))
        if self._bytes + size > self._most:
            self._ignored.add(source, f"holds more properties than one execution may have, {self._most:,} bytes")
            return
        self._bytes += size
        wishes(properties, lambda why: self._ignored.add(source, f"has a property without effect: {why}"))
        self._found.setdefault(name, []).append(properties)
