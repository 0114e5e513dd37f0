"""Writes the generated pages of the documentation: `docs/cli.md` from the help texts, `docs/yaml.md` from the schema
and the codes of problems, `docs/problems/README.md` from these, `docs/graph.svg` from the example.

`python docs/generate.py` writes them, `--check` fails if one of them is not what it would write.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from runner.cli.main import VERBS, help_page, run  # noqa: E402
from runner.drawing.graph import draw  # noqa: E402
from runner.drawing.svg import render  # noqa: E402
from runner.errors import ExitCode  # noqa: E402
from runner.spec.check.code import CODES  # noqa: E402
from runner.spec.project import load_project  # noqa: E402

NOTE = "<!-- written by docs/generate.py: change the sources, then `make docs` -->\n"

EXIT_CODES = {
    ExitCode.OK: "everything went well",
    ExitCode.STEP_FAILED: "a step failed, or the run was stopped: by `mlrun stop`, an action or a rejection",
    ExitCode.USAGE: "the command line or the settings are wrong",
    ExitCode.BUG: "a bug of mlrun",
    ExitCode.SPEC: "the YAML file is missing or has errors",
    ExitCode.STRICT: "the YAML file has warnings, under `--strict`",
    ExitCode.EXECUTOR: "the executor does not work here",
    ExitCode.IMAGE: "an image is not to be had",
    ExitCode.STORE: "the store is damaged or cannot be written",
    ExitCode.LOCKED: "somebody else holds what is needed",
    ExitCode.DISK: "the disk is full or a quota is reached",
    ExitCode.POLICY: "refused by policy: it needs your word",
    ExitCode.INPUT: "an input is not to be had",
    ExitCode.OUTPUT: "outputs were refused",
    ExitCode.DIFFERS: "what was repeated differs from its record",
    ExitCode.CANNOT_REPEAT: "something recorded cannot be repeated here",
    ExitCode.APPROVAL: "the run is parked until somebody approves or rejects",
    ExitCode.INTERRUPTED: "Ctrl-C; other signals end with 128 + their number",
}


def cli_page() -> str:
    """The command line, as `--help` shows it."""
    parts = ["# Command line", "", NOTE, "```", help_page(), "```", ""]
    for name in VERBS:
        parts += [f"## mlrun {name}", "", "```", help_of(name), "```", ""]
    parts += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(parts) + "\n"


def help_of(verb: str) -> str:
    """The text of `mlrun VERB --help`, 100 columns wide."""
    os.environ |= {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    page = io.StringIO()
    with contextlib.redirect_stdout(page):
        run([verb, "--help"])
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def yaml_page() -> str:
    """The language, one section per object of the schema, and what can be wrong with a file."""
    schema = json.loads((DOCS.parent / "schemas" / "valohai.schema.json").read_text(encoding="utf-8"))
    parts = ["# `valohai.yaml`", "", NOTE, schema.get("description", ""), ""]
    for name, body in schema["$defs"].items():
        if "properties" in body:
            parts += [f"## {name}", "", body.get("description", ""), "", *_table(body), ""]
    parts += ["## Problems", "", "What `mlrun lint` finds, by code.", "", "| code | meaning |", "|---|---|"]
    parts += [f"| [`{code}`](problems/{code}.md) | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(parts) + "\n"


def problems_page() -> str:
    """The index of the pages about problems."""
    parts = [
        "# Problems",
        "",
        NOTE,
        "What `mlrun lint` finds, each with an example that has the problem and one without.",
    ]
    parts += ["", "| code | meaning |", "|---|---|"]
    parts += [f"| [`{code}`]({code}.md) | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(parts) + "\n"


def _table(body: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | type | |"
    yield "|---|---|---|"
    required = set(body.get("required", ()))
    for key, value in body["properties"].items():
        need = " (required)" if key in required else ""
        text = str(value.get("description", "")).replace("|", "\\|").replace("\n", " ")
        yield f"| `{key}`{need} | {_type(value)} | {text} |"


def _type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in value:
        return " \\| ".join(f"`{choice}`" for choice in value["enum"])
    for key in ("anyOf", "oneOf"):
        if key in value:
            return " or ".join(dict.fromkeys(_type(choice) for choice in value[key]))
    kind = value.get("type", "any")
    if kind == "array" and "items" in value:
        return f"list of {_type(value['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def graph_picture() -> str:
    """The example's training pipeline, as `mlrun graph -o FILE.svg` draws it."""
    project = load_project(DOCS.parent / "valohai.yaml.example", "valohai.yaml.example")
    return render(draw(project, project.pipelines["Training Pipeline"])) + "\n"


PAGES = {"graph.svg": graph_picture, "cli.md": cli_page, "yaml.md": yaml_page, "problems/README.md": problems_page}


def main() -> int:
    """Write the pages, or check them."""
    if unknown := set(sys.argv[1:]) - {"--check"}:
        print(f"unknown: {' '.join(unknown)}\n{__doc__}", file=sys.stderr)
        return 2
    stale = []
    for name, make in PAGES.items():
        page, file = make(), DOCS / name
        if "--check" not in sys.argv:
            file.write_text(page, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != page:
            stale.append(name)
    for name in stale:
        print(f"docs/{name} is out of date: run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
