"""Draws `docs/demo.svg`: runs the training pipeline of a new project in a terminal of its own and keeps what it showed.

`python docs/picture.py`; needs bubblewrap and the `sklearn` extra.
"""

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

DOCS = Path(__file__).resolve().parent
COLUMNS, LINES = 108, 46
SCENES = (
    'mlrun pipeline "Training Pipeline" --executor sandbox',
    "mlrun list --where 'accuracy > 0.9' --columns counter,node,state,accuracy,f1,commit",
    "mlrun exec train --C 0.5 --executor sandbox",
)


def main() -> None:
    """Run the scenes one after another and write the picture."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLRUN_STORE": f"{folder}/store",
            "TERM": "xterm-256color",
        }
        project = Path(folder) / "iris"
        subprocess.run(["mlrun", "init", str(project)], env=environment, check=True, capture_output=True)
        for scene in SCENES:
            stream.feed(f"\x1b[1;32m$\x1b[0m {scene}\r\n".encode())
            stream.feed(show(scene, project, environment))
            stream.feed(b"\r\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for text in drawn(screen):
        console.print(text, soft_wrap=True)
    # A picture must not load fonts from anywhere.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="mlrun"), flags=re.DOTALL)
    (DOCS / "demo.svg").write_text(picture.replace("Fira Code", "monospace"), encoding="utf-8")


def show(command: str, folder: Path, environment: dict[str, str]) -> bytes:
    """Everything that `command` writes to a terminal of our size."""
    shell = f"stty cols {COLUMNS} rows {LINES}; {command}"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", shell], environment)
    written = b""
    try:
        while block := os.read(terminal, 65536):
            written += block
    except OSError:
        pass  # Linux ends a pseudo terminal whose other side is closed with EIO.
    os.close(terminal)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        sys.exit(f"`{command}` failed:\n{written.decode(errors='replace')}")
    return written


def drawn(screen: pyte.Screen) -> list[Text]:
    """The lines of the screen with their colours, without the empty ones at the end."""
    lines = []
    for number in range(LINES):
        line = Text()
        cells = [screen.buffer[number][column] for column in range(COLUMNS)]
        for style, run in groupby(cells, key=style_of):
            line.append("".join(cell.data for cell in run), style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def style_of(cell: pyte.screens.Char) -> Style:
    """The colour and weight of one cell; `pyte` calls the dark yellow of a terminal brown."""
    colour = None if cell.fg == "default" else (f"#{cell.fg}" if len(cell.fg) == 6 else cell.fg)
    return Style(color="yellow" if colour == "brown" else colour, bold=cell.bold)


if __name__ == "__main__":
    main()
