"""The colours of the SVG, by day and by night, as CSS. Every rule is bound to our own class, so that a page that takes
the picture in keeps its own looks. Pure."""

from collections.abc import Collection, Mapping

from runner.sign import Tone

FONT = "Helvetica, Arial, 'Liberation Sans', 'Noto Sans', sans-serif"

_PIPELINE = ("execution", "task", "deployment")

TONES = {
    Tone.GOOD: ("#15803d #e9f9ee", "#4ade80 #10281a"),
    Tone.SAME: ("#0f766e #e6f7f5", "#2dd4bf #0d2725"),
    Tone.BAD: ("#c62828 #fdecec", "#ff8080 #351719"),
    Tone.ODD: ("#b45309 #fef5dc", "#fbbf24 #30240c"),
    Tone.ASKING: ("#6d3fd0 #f6f2ff", "#bda3ff #221b3a"),
    Tone.BUSY: ("#1d5fc4 #eaf2fe", "#7db1ff #13233f"),
    Tone.QUIET: ("#5b677a #f1f3f6", "#9aa7ba #1a2230"),
}
"""Of each tone a strong and a soft colour, by day and by night; its name is the class of what has it."""

_LIGHT = {
    "ground": "#ffffff",
    "ink": "#172033",
    "muted": "#5b677a",
    "line": "#8492a6",
    "execution": "#f3f7fe #7ea6e8",
    "task": "#f6f2ff #9f7fe6",
    "deployment": "#eafaf4 #2f9e86",
    "file": "#fffdf5 #b9a36a",
    "group": "#f3f7fe #7ea6e8",
    "value": "#7c5a12",
    "fan": "#6d3fd0",
    "added": "#15803d #e9f9ee",
    "removed": "#c62828 #fdecec",
    "changed": "#b45309 #fef5dc",
    "affected": "#8a6d1a #fffbea",
}
_DARK = {
    "ground": "#0f1521",
    "ink": "#e8edf5",
    "muted": "#9aa7ba",
    "line": "#75849b",
    "execution": "#172338 #4f7fcc",
    "task": "#221b3a #8f70dd",
    "deployment": "#10291f #2f9e86",
    "file": "#211e14 #8f7f4e",
    "group": "#172338 #4f7fcc",
    "value": "#e0bd72",
    "fan": "#bda3ff",
    "added": "#4ade80 #10281a",
    "removed": "#ff8080 #351719",
    "changed": "#fbbf24 #30240c",
    "affected": "#d8bf6a #221e10",
}


def style_sheet(types: Collection[str] = (), *, stateful: bool = False) -> str:
    """The whole CSS, for boxes of these types besides those of pipelines, and of nodes that have states."""
    shapes = [
        f".mlg text{{font-family:{FONT};font-size:11px}}",
        ".mlg .heading{font-size:16px;font-weight:700}",
        ".mlg .name{font-size:13.5px;font-weight:700}",
        ".mlg .fan{font-weight:700}",
        ".mlg .label,.mlg .key{font-size:10.5px}",
        ".mlg .value{font-style:italic}",
        ".mlg .badge text{font-size:10px;font-weight:700;text-anchor:middle}",
        ".mlg .shape{stroke-width:1.4}",
        ".mlg .wire{fill:none;stroke-width:1.5;stroke-linecap:round}",
        ".mlg .values .wire{stroke-dasharray:6 4}",
        ".mlg .order .wire{stroke-dasharray:1 5;stroke-width:2}",
        ".mlg .added .shape,.mlg .changed .shape{stroke-width:2.4}",
        ".mlg .removed .shape{stroke-width:2.4;stroke-dasharray:7 4}",
        ".mlg .affected .shape{stroke-dasharray:2 3;stroke-width:1.8}",
        ".mlg .added .wire,.mlg .removed .wire,.mlg .changed .wire{stroke-width:2.2}",
        ".mlg .removed .name{text-decoration:line-through}",
    ]
    known = [*_PIPELINE, *(kind for kind in ("file", "group") if kind in types)]
    light, dark = _rules(_LIGHT, known), _rules(_DARK, known)
    if stateful:
        light += _state_rules(0, _LIGHT["ground"])
        dark += _state_rules(1, _DARK["ground"])
    return "\n".join([*shapes, *light, "@media (prefers-color-scheme:dark){", *dark, "}"])


def _state_rules(scheme: int, ground: str) -> list[str]:
    rules = []
    for tone, colours in TONES.items():
        strong, soft = colours[scheme].split()
        rules += [
            f".mlg .node.{tone} .shape{{fill:{soft};stroke:{strong}}}",
            f".mlg .{tone} .badge rect{{fill:{strong}}}",
            f".mlg .{tone} .badge text{{fill:{ground}}}",
        ]
    return rules


def _rules(colours: Mapping[str, str], types: Collection[str]) -> list[str]:
    rules = [
        f".mlg .ground,.mlg .plate{{fill:{colours['ground']}}}",
        f".mlg text{{fill:{colours['ink']}}}",
        f".mlg .step,.mlg .image,.mlg .key{{fill:{colours['muted']}}}",
        f".mlg .label{{fill:{colours['muted']}}}",
        f".mlg .value{{fill:{colours['value']}}}",
        f".mlg .fan{{fill:{colours['fan']}}}",
        f".mlg .wire{{stroke:{colours['line']}}}",
        f".mlg .head{{fill:{colours['line']}}}",
    ]
    for kind in types:
        fill, stroke = colours[kind].split()
        rules.append(f".mlg .{kind} .shape{{fill:{fill};stroke:{stroke}}}")
    for mark in ("added", "removed", "changed", "affected"):
        strong, soft = colours[mark].split()
        rules += [
            f".mlg .{mark} .shape{{fill:{soft};stroke:{strong}}}",
            f".mlg .{mark} .wire{{stroke:{strong}}}",
            f".mlg .{mark} .head,.mlg text.{mark},.mlg .{mark} .badge rect{{fill:{strong}}}",
            f".mlg .{mark} .badge text{{fill:{colours['ground']}}}",
        ]
    return rules
