"""Mutants of YAML files, made from a seed and a number: of bytes, of lines, of YAML tokens and of the tree.

A mutant depends on nothing but the seed, its number and the originals. Pure: no clock, no disk.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

ODD = (
    "null", "~", "[]", "{}", "0", "-1", '""', "true", "no", ".nan", "-.inf", "1e999", "1e-4", "012", "22:22", "- a",
    "a: b", "*x", "&x", "&x [*x]", "<<: *x", "<<: {a: 1}", "!!int x", "!!bool x", "!!float x", "!!null x",
    "!!timestamp x", "!!binary x", "!!set {a}", "!!python/name:os.system", "!x y", "2001-99-99",
    "2020-01-01T00:00:00Z", "9" * 500, "0x" + "f" * 500, "1:1:1:1", "[[[[", "{a: ", "? [a]", "|\n  x", ">-\n  x", "'",
    '"', '"\\x1b[2J"', '"\\0"', '"\\ud800"', "\t", "\0", "\x1b", "\x85", "\u2028", "\u202e", "\ufeff", "é", "日本", "🜁",
    "e\u0301", "...", "---", "%TAG ! x", "%YAML 9.9", "@", "`", "#", " #", "a.b", "a.b.c", "a.output.*", ".output.",
    "a.parameter.a", "{parameters}", "{parameter:epochs}", "{parameter-value:x}", "'{parameter:x}'", "{}", "{{{", "$(",
    "<<EOF", "../..", "/", "1h 30m", "-5m", "9" * 30 + "h", "loss < 0.1", "a.b(", "x" * 300,
)  # fmt: skip
WORDS = (
    "step", "pipeline", "task", "endpoint", "deployment", "blueprint", "policy", "name", "type", "image", "command",
    "inputs", "parameters", "nodes", "edges", "connections", "override", "actions", "when", "then", "if", "target",
    "targets", "default", "multiple", "pass-as", "pass-true-as", "rules", "style", "execution", "on-error", "source",
    "resources", "mounts", "stop-condition", "time-limit", "environment-variables", "choices", "min", "max", "<<", "",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "a", "execution", "a.output.b", "{v}",
    "{parameter:a}", "\x1b[31m", "\u202e", "\0", "a\nb", [], {}, [None], [[]], [{}], {"": None}, {"name": None},
    {"name": "a"}, [{"name": "a"}, {"name": "a"}], ["a", 1, None, {}], "1e-4", "x" * 2000,
)  # fmt: skip

MAX_BYTES = 1 << 17
"""A mutant does not grow past this, so that the time of a run says something about the mutations."""

MAX_VALUES = 5000
"""A larger tree, such as a bomb of aliases, is never written out in full."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed file, and the original that it was made from."""

    original: str
    data: bytes


def mutant(seed: int, number: int, originals: Mapping[str, bytes]) -> Mutant:
    """One to four mutations of one of the originals."""
    chance = random.Random(f"{seed}:{number}")
    name = chance.choice(sorted(originals))
    data = originals[name]
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(MUTATIONS)(data, chance)[:MAX_BYTES]
    return Mutant(name, data)


def _bytes(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    at = chance.randrange(len(made) + 1)
    match chance.randrange(6):
        case 0:
            made[at:at] = chance.randbytes(chance.randint(1, 4))
        case 1:
            del made[at : at + chance.randint(1, 30)]
        case 2:
            made[at : at + 1] = bytes([chance.randrange(256)])
        case 3:
            made[at:at] = chance.choice(ODD).encode("utf-8", "surrogatepass")
        case 4:
            del made[at:]
        case 5:
            made[at:at] = made[at : at + chance.randint(1, 400)]
    return bytes(made)


def _encoding(data: bytes, chance: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    match chance.randrange(6):
        case 0:
            return text.encode(chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig"]))
        case 1:
            return text.encode("latin-1", "replace")
        case 2:
            return data.replace(b"\n", chance.choice([b"\r\n", b"\r", b"\n\n", "\u2028".encode(), b"\n\t"]))
        case 3:
            return data.replace(b"  ", chance.choice([b"\t", b" ", b"   "]))
        case 4:
            return data.replace(b": ", chance.choice([b" : ", b":", b":\t"]))
        case _:
            letter = chance.choice("aeinot")
            return text.replace(letter, chance.choice(["é", "\u200d", "𝕏", "\u0301"])).encode()


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(9):
        case 0:
            del lines[at : at + chance.randint(1, 3)]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at] = " " * chance.randrange(9) + lines[at].lstrip()
        case 3:
            lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(ODD)
        case 4:
            cut = chance.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + chance.choice(ODD) + lines[at][cut:]
        case 5:
            words = lines[at].split(" ")
            words[chance.randrange(len(words))] = chance.choice(ODD + WORDS)
            lines[at] = " ".join(words)
        case 6:
            lines[at], lines[other] = lines[other], lines[at]
        case 7:
            block = lines[at : at + chance.randint(2, 12)]
            lines[other:other] = block
        case 8:
            block = lines[at : at + chance.randint(2, 12)]
            lines[at : at + len(block)] = [chance.choice(["  ", "    ", "# ", "- "]) + line for line in block]
    return "\n".join(lines).encode()


Span = tuple[int, int]


@lru_cache(maxsize=256)
def _token_spans(text: str) -> tuple[Span, ...]:
    """Where the tokens of a text stand; none for a text that is not YAML."""
    try:
        marks = [(token.start_mark.index, token.end_mark.index) for token in yaml.scan(text, Loader=yaml.SafeLoader)]
    except (yaml.YAMLError, ValueError, RecursionError):
        return ()
    return tuple((start, end) for start, end in marks if end > start)


def _tokens(data: bytes, chance: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    spans = _token_spans(text)
    if len(spans) < 2:
        return _lines(data, chance)
    start, end = chance.choice(spans)
    other = chance.choice(spans)
    match chance.randrange(7):
        case 0:
            made = text[:start] + text[end:]
        case 1:
            made = text[:start] + text[start:end] + " " + text[start:]
        case 2:
            made = text[:start] + text[other[0] : other[1]] + text[end:]
        case 3:
            made = text[:start] + chance.choice(ODD) + text[end:]
        case 4:
            mark = chance.choice(["&x ", "*x ", "!!str ", "!!int ", "! ", "? ", "- ", "<<: "])
            made = text[:start] + mark + text[start:]
        case 5:
            first, last = chance.choice(["[]", "{}", '""', "''", "[}"])
            made = text[:start] + first + text[start:end] + last + text[end:]
        case _:
            made = text[:start] + chance.choice(WORDS) + text[end:]
    return made.encode("utf-8", "replace")


Container = dict[Any, Any] | list[Any]


def _containers(tree: object) -> list[Container]:
    found: list[Container] = []
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            found.append(value)
            waiting += value.values() if isinstance(value, dict) else value
    return found


def _tree(data: bytes, chance: random.Random) -> bytes:
    """A change of the tree, written out again in another style."""
    tree = _read(data)
    containers = [container for container in _containers(tree) if container]
    if not containers:
        return _lines(data, chance)
    container, other = chance.choice(containers), chance.choice(containers)
    key = chance.choice(list(container)) if isinstance(container, dict) else chance.randrange(len(container))
    match chance.randrange(9):
        case 0:
            del container[key]
        case 1:
            container[key] = chance.choice(VALUES)
        case 2:
            container[key] = chance.choice(list(other.values()) if isinstance(other, dict) else other)
        case 3 if isinstance(container, dict):
            container[chance.choice(WORDS)] = container.pop(key)
        case 4 if isinstance(container, dict):
            container[f"{key}".replace("-", "_").upper() if chance.random() < 0.5 else f"{key}s"] = container.pop(key)
        case 5:
            container[key] = _nested(chance.choice([3, 30, 120, 400]), container[key], chance)
        case 6 if isinstance(container, list):
            container[key:key] = [container[key]] * chance.choice([1, 2, 50])
        case 7 if isinstance(container, list):
            chance.shuffle(container)
        case _:
            container[key] = [container[key]] if chance.random() < 0.5 else {chance.choice(WORDS): container[key]}
    return _write(tree, chance)


def _is_small(tree: object) -> bool:
    """Whether a tree has few values when all that stands in several places is written in full."""
    left = MAX_VALUES
    waiting = [tree]
    while waiting and left:
        left -= 1
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return not waiting


def _nested(depth: int, value: object, chance: random.Random) -> object:
    for _ in range(depth):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


class _Dumper(yaml.SafeDumper):
    """Writes values that stand in several places with anchors and aliases or, at random, in full."""

    aliased = True

    def ignore_aliases(self, data: object) -> bool:
        return not self.aliased or bool(super().ignore_aliases(data))  # type: ignore[no-untyped-call]


def _read(data: bytes) -> object:
    try:
        return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _write(tree: object, chance: random.Random) -> bytes:
    _Dumper.aliased = not _is_small(tree) or chance.random() < 0.7
    try:
        text = yaml.dump(
            tree,
            Dumper=_Dumper,
            sort_keys=False,
            default_flow_style=chance.choice([None, False, False, True]),
            default_style=chance.choice([None, None, None, '"', "'"]),
            allow_unicode=chance.random() < 0.5,
            width=chance.choice([20, 80, 1000]),
            explicit_start=chance.random() < 0.2,
        )
    except (yaml.YAMLError, RecursionError, TypeError):
        return b"- step: {}\n"
    return text.encode("utf-8", "replace") if isinstance(text, str) else text


Mutation = Callable[[bytes, random.Random], bytes]
MUTATIONS: Sequence[Mutation] = (_bytes, _encoding, _lines, _lines, _lines, _tokens, _tokens, _tree, _tree, _tree)
"""As often as they are listed."""
