"""What would change in a text file, as a unified diff for eyes: it is escaped, so that no tool can apply it."""

from difflib import unified_diff

from runner.cli.terminal import harmless
from runner.escape import printable, printable_lines


def show_patch(before: bytes, after: bytes, old_name: str, new_name: str) -> None:
    """Print the lines that differ and those around them; nothing if the two are the same."""
    old, new = (data.decode("utf-8", "replace").splitlines(keepends=True) for data in (before, after))
    for line in unified_diff(old, new, printable(old_name), printable(new_name)):
        print(harmless(printable_lines(line.rstrip("\r\n"))))
