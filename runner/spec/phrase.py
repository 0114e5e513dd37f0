"""How values and numbers of things are called in messages, and what a wrong word probably means. Pure.

The closest name is not always the one that was meant: people come with the words of other tools and of Python. Those
stand here, each beside what it is called in this language.
"""

import re
from collections.abc import Collection, Mapping

from runner.errors import did_you_mean
from runner.spec.tree import Row, Table, shorten, shown


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 file`, `2 files`; with a `plural` that is no mere `s`: `2 policies`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def counted_of(count: int, whole: int | None, noun: str) -> str:
    """`7 of 50 trials`; `50 trials` where those are all, or nobody knows how many there are."""
    return counted(count, noun) if whole is None or whole == count else f"{count:,} of {counted(whole, noun)}"


def describe(value: object, written: str | None = None) -> str:
    """What a value is, such as: the number `1.10`. `written` is its text in the file, where that is known."""
    said = written or shown(value)
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the boolean `{said}`"
    if isinstance(value, int | float):
        return f"the number `{said}`"
    if isinstance(value, str):
        first = value.strip().partition("\n")[0]
        return f"the text `{shorten(value if first == value else first + ' …')}`" if first else "empty text"
    return "a mapping" if isinstance(value, Table) else "a list"


QUOTE = "put quotes around it"
_ONE_PAIR = "put quotes around it: `: ` makes a mapping"
_BRACES = "put quotes around text that begins with `{`"


def quoting(value: object) -> str | None:
    """The hint for a value that stands where text belongs, if quotes make it text."""
    if isinstance(value, bool | int | float):
        return QUOTE
    if isinstance(value, Table) and len(value) == 1:
        [(key, inner)] = value.items()
        if inner is None and value.at == value.keys_at[key]:
            return "leave the `:` at its end out, or put quotes around it"
        if isinstance(inner, Table | Row):
            return None
        return _BRACES if inner is None else _ONE_PAIR
    return None


_QUANTITY = re.compile(r"[\d.]+ *[A-Za-z%]+")


def unquoting(text: str, wanted: Collection[str], memory: bool = False) -> str | None:
    """The hint for text that stands where a number or a boolean belongs; `memory` is counted in megabytes."""
    if "boolean" in wanted:
        return "leave the quotes out" if text.strip().lower() in ("true", "false", "yes", "no", "on", "off") else None
    if _QUANTITY.fullmatch(text.strip()):
        return "write a number of megabytes, without a unit" if memory else "write a number without a unit"
    return "leave the quotes out" if text.strip().isdecimal() else None


def as_list(value: str) -> str | None:
    """The hint for text such as `a, b` where a list belongs."""
    parts = [part.strip() for part in value.split(",")]
    return f"write a list: `[{shorten(', '.join(parts))}]`" if all(parts) else None


MISSING: Mapping[tuple[str, str], str] = {
    ("node", "type"): "add `type: execution`, if it runs a step",
    ("step", "image"): "add one such as `image: python:3.12`",
    ("step", "command"): "add one such as `command: python train.py {parameters}`",
    ("task parameter", "rules"): "such as `rules: {items: [0.1, 0.2]}` with `style: multiple`",
}
"""By the title of an object and a key that it must have: what to write."""

AMOUNTS: Mapping[str, str] = {
    "cpu": "write the least that is needed, as in `cpu: {min: 2}`",
    "memory": "write the least that is needed, in megabytes, as in `memory: {min: 8000}`",
}
"""By a key of `resources`: what to write where a mere amount stands."""

DASHES = "leave out the dashes in front of its fields"


def as_fields(text: str) -> str:
    """The hint for text such as `NAME=value` where a mapping belongs."""
    name, equals, value = text.partition("=")
    return f"write `name: {shorten(name)}`" + (f' and `default: "{shorten(value)}"`' if equals else "")


EDGE = "an edge is a pair `[source, target]`, such as `[a.output.x, b.input.y]`"
END = "the end of an edge is text of the form `node.type.key`"

_WORDS: Mapping[str, frozenset[str]] = {
    "flag": frozenset({"bool", "boolean", "switch"}),
    "integer": frozenset({"int", "long", "count"}),
    "float": frozenset({"number", "double", "real", "decimal", "numeric"}),
    "string": frozenset({"str", "text", "path", "choice", "enum"}),
    "full": frozenset({"yes", "all"}),
    "repeat": frozenset({"true", "yes"}),
    "stop-all": frozenset({"stop", "fail", "abort"}),
    "continue": frozenset({"ignore"}),
    "grid_search": frozenset({"grid"}),
    "random_search": frozenset({"random"}),
    "manual_search": frozenset({"manual"}),
    "bayesian_tpe": frozenset({"bayesian", "optuna", "hyperopt"}),
    "execution": frozenset({"step", "run"}),
    "multiple": frozenset({"list", "choice", "choices", "values", "items", "grid"}),
    "linear": frozenset({"range", "linspace"}),
    "logspace": frozenset({"log", "logarithmic"}),
}
"""By a word of this language: other words for it."""

_LISTS = frozenset({"list", "array", "multiple"})


def meant_word(word: object, allowed: Collection[str]) -> str | None:
    """The hint for a word that is none of those allowed."""
    said = shown(word).lower()
    if "flag" in allowed and said in _LISTS:
        return "leave `type` out and write `multiple: repeat` for several values"
    for known in allowed:
        if said in _WORDS.get(known, ()):
            return f"did you mean `{known}`?"
    hint = did_you_mean(word, allowed) if isinstance(word, str) else None
    return hint if hint and hint.startswith("did you mean") else None


_KEYS: Mapping[str, Mapping[str, str]] = {
    "edge": {"from": "source", "to": "target", "src": "source", "dst": "target"},
    "step": {
        "env": "environment-variables",
        "args": "parameters",
        "arguments": "parameters",
        "script": "command",
        "run": "command",
        "container": "image",
        "timeout": "time-limit",
        "volumes": "mounts",
    },
    "parameter": {
        "value": "default",
        "values": "choices",
        "enum": "choices",
        "options": "choices",
        "help": "description",
    },
    "input": {"url": "default", "uri": "default", "path": "default", "value": "default"},
    "environment variable": {"value": "default"},
    "mount": {"src": "source", "from": "source", "target": "destination", "dst": "destination", "to": "destination"},
    "rules": {"stop": "end", "from": "start", "to": "end", "num": "count", "low": "min", "high": "max"},
    "pipeline": {"steps": "nodes", "connections": "edges"},
}
"""By the title of an object: keys that other tools have, and what they are called here."""

_DEVICES = "write it below `resources`, as in `resources: {devices: {nvidia.com/gpu: 1}}`"
_SWEEP = "write `style: multiple` and, below `rules`, the values as `items`"

_ADVICE: Mapping[tuple[str, str], str] = {
    ("resources", "limits"): "write the greatest as `max`, as in `cpu: {max: 2}`",
    ("resources", "requests"): "write the least as `min`, as in `cpu: {min: 2}`",
    ("resources", "gpu"): "write it below `devices`, as in `devices: {nvidia.com/gpu: 1}`",
    ("resources", "gpus"): "write it below `devices`, as in `devices: {nvidia.com/gpu: 1}`",
    ("step", "gpu"): _DEVICES,
    ("step", "gpus"): _DEVICES,
    ("step", "cpu"): "write it below `resources`, as in `resources: {cpu: {min: 2}}`",
    ("step", "cpus"): "write it below `resources`, as in `resources: {cpu: {min: 2}}`",
    ("step", "memory"): "write it in megabytes below `resources`, as in `resources: {memory: {min: 8000}}`",
    ("step", "depends-on"): "steps wait for each other as nodes of a pipeline, by its `edges`",
    ("step", "needs"): "steps wait for each other as nodes of a pipeline, by its `edges`",
    ("step", "requirements"): "install them first: `pip install -r requirements.txt` as an entry of `command`",
    ("task parameter", "values"): _SWEEP,
    ("task parameter", "items"): _SWEEP,
    ("task parameter", "choices"): _SWEEP,
    ("task parameter", "min"): "write it below `rules`",
    ("task parameter", "max"): "write it below `rules`",
    ("environment variable", "required"): "a variable is required if it has `optional: false`",
    ("parameter", "required"): "a parameter is required if it has neither `default` nor `optional: true`",
    ("input", "required"): "an input is required if it has neither `default` nor `optional: true`",
    ("node", "depends-on"): "nodes wait for each other by `edges` of the pipeline",
    ("node", "needs"): "nodes wait for each other by `edges` of the pipeline",
}
"""By the title of an object and a key that it does not have: what to do instead."""

_OVERRIDDEN = frozenset({"command", "environment", "environment-variables", "image", "inputs", "parameters"})
"""What a node may say otherwise than its step does, in `override`."""


def meant_key(title: str, key: str, known: Collection[str]) -> str | None:
    """The hint for a key that an object does not have."""
    title = "node" if title.endswith(" node") else title
    dashed = key.replace("_", "-").lower()
    if advice := _ADVICE.get((title, dashed)):
        return advice
    if "override" in known and dashed in _OVERRIDDEN:
        return f"write it below `override` to change the `{dashed}` of the step"
    if title == "edge" and key.count(".") > 1:
        return f"write the two ends as a pair: `[{shorten(key)}, …]`"
    meant = _KEYS.get(title, {}).get(dashed)
    return f"did you mean `{meant}`?" if meant in known else did_you_mean(dashed, known)


PATTERNS: Mapping[str, str] = {
    "^/.+:/.+$": "is not of the form `/source:/destination`",
    "^/.+$": "is not an absolute path, such as `/data`",
    "^[a-z][a-z0-9-]+$": "is not made of two or more small letters, digits and dashes, beginning with a letter",
    "=": "is not of the form `label=value`",
}
"""What is wrong with text that does not match: words for every pattern of the schema."""


def meant_text(pattern: str, value: object) -> str | None:
    """The hint for text that does not match a pattern: the nearest that does, if it is near."""
    if not isinstance(value, str) or not pattern.startswith("^[a-z]"):
        return None
    guess = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-").lstrip("0123456789-")
    return f"did you mean `{shorten(guess)}`?" if re.search(pattern, guess) else None
