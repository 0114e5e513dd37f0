"""Pairs of files: `pairs/NAME/` has `base.yaml`, `head.yaml`, and in `words.txt` what is said of the change.

Adding a folder adds a test.
"""

from pathlib import Path

import pytest

from runner.change.model import Change, Foreign, Phrase
from runner.change.report import compare_projects
from runner.change.wording import detail_phrase, headline, item_phrase, remarks_phrase, verdict_phrase
from runner.spec.project import parse_project

PAIRS = sorted((Path(__file__).parent / "pairs").iterdir())


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.name)
def test_a_pair_is_told_as_its_words_say(pair: Path) -> None:
    base, head = (parse_project((pair / f"{side}.yaml").read_bytes(), "valohai.yaml") for side in ("base", "head"))
    expected = (pair / "words.txt").read_text(encoding="utf-8").splitlines()
    assert told(compare_projects(base, head)) == expected


def told(change: Change) -> list[str]:
    """Everything that is said of a change, line by line."""
    lines = [words(headline(change))]
    for item in change.items:
        lines.append(words(item_phrase(item)))
        lines += [f"  {words(detail_phrase(detail))}" for detail in item.details]
        lines += [f"  {words(remarks_phrase(item))}"] if item.remarks else []
    for pipeline in change.pipelines:
        lines.append(f"pipeline {pipeline.name}")
        lines += [f"  {verdict.name} {words(verdict_phrase(verdict))}" for verdict in pipeline.verdicts]
        for word, drawing in (("before", pipeline.before), ("after", pipeline.after)):
            if drawing is None:
                continue
            marks = [f"{node.name} {node.mark}" for node in drawing.nodes if node.mark]
            marks += [f"{edge.source_key} → {edge.target_key} {edge.mark}" for edge in drawing.edges if edge.mark]
            lines.append(f"  drawn {word}: {', '.join(marks)}")
    lines += [f"step {verdict.name} {words(verdict_phrase(verdict))}" for verdict in change.steps]
    return lines


def words(phrase: Phrase) -> str:
    return "".join(f"`{piece}`" if isinstance(piece, Foreign) else piece for piece in phrase)
