"""A change as JSON data, in the stable form that `docs/diff.md` describes. Pure."""

from collections.abc import Mapping
from typing import Any

from runner.change.model import Change, Detail, Fate, ItemChange, PipelineChange, Verdict
from runner.change.wording import detail_phrase, headline, verdict_phrase
from runner.drawing import document
from runner.drawing.model import Drawing
from runner.spec.report import problem_to_json

VERSION = 1
"""Grows when a key is renamed or goes; new keys may come at any time."""


def change_to_json(change: Change, *, file: str, base: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a change of `file`; `base` and `head` say what was compared."""
    verdicts = [verdict for pipeline in change.pipelines for verdict in pipeline.verdicts]
    return {
        "version": VERSION,
        "file": file,
        "base": dict(base),
        "head": dict(head),
        "changed": not change.empty,
        "unreadable": list(change.unreadable),
        "summary": "".join(headline(change)),
        "nodes": {str(fate): sum(verdict.fate is fate for verdict in verdicts) for fate in Fate},
        "items": [_item(item) for item in change.items],
        "files": [{"path": file.path, "change": str(file.kind), "names": file.names} for file in change.files],
        "pipelines": [_pipeline(pipeline) for pipeline in change.pipelines],
        "steps": [_verdict(verdict) for verdict in change.steps],
        "problems": [problem_to_json(problem) for problem in change.problems],
    }


def _item(item: ItemChange) -> dict[str, Any]:
    return {
        "kind": item.sort,
        "name": item.name,
        "change": str(item.kind),
        "was": item.was,
        "broken": item.broken,
        "details": [_detail(detail) for detail in item.details],
        "remarks": list(item.remarks),
    }


def _detail(detail: Detail) -> dict[str, Any]:
    return {
        "change": str(detail.kind),
        "path": [{"noun": part.noun, "name": part.name} for part in detail.path],
        "key": detail.key,
        "before": detail.before,
        "after": detail.after,
        "text": "".join(detail_phrase(detail)),
    }


def _pipeline(pipeline: PipelineChange) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "nodes": [_verdict(verdict) for verdict in pipeline.verdicts],
        "before": _drawing(pipeline.before),
        "after": _drawing(pipeline.after),
    }


def _drawing(drawing: Drawing | None) -> object:
    return None if drawing is None else document.to_json(drawing)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "step": verdict.step,
        "fate": str(verdict.fate),
        "reasons": ["".join(reason) for reason in verdict.reasons],
        "upstream": list(verdict.upstream),
        "text": "".join(verdict_phrase(verdict)),
    }
