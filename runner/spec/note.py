"""Collects what is wrong with one file instead of raising the first of it. Pure."""

from runner.errors import Location, Problem, Severity
from runner.spec.tree import Place


class Notes:
    """The problems of one file, or of one item of it, in the order in which they are met."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []

    def at(self, place: Place) -> Location:
        """The place as a location."""
        return Location(self._file, *place)

    def error(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        """Collect an error."""
        self.problems.append(Problem(Severity.ERROR, code, message, self.at(place), hint))

    def warn(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        """Collect a warning."""
        self.problems.append(Problem(Severity.WARNING, code, message, self.at(place), hint))

    @property
    def first_error(self) -> Problem | None:
        """The first error so far."""
        return next((problem for problem in self.problems if problem.severity is Severity.ERROR), None)
