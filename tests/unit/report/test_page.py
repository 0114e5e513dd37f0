"""The page: sound HTML that stands alone, tells what happened, and lets nothing foreign become markup."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import html5rdf
import pytest

from runner.goal import Goal
from runner.report import output
from runner.report.page import render
from runner.report.subject import Subject
from tests.unit.report.conftest import SUBJECTS, Diary, learning, png, reused, study

HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
ODD = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</style></title></svg><b>x</b>",
    "\x00\x1b[31m\u202egnp\udcff\ud800",
    "<!--", "]]>", "&lt;b&gt;", "{{7*7}}",
)  # fmt: skip
"""What names, values and logs may be."""


def parsed(page: str) -> ET.Element:
    """The document, by a parser that refuses what is no sound HTML."""
    page.encode()
    root: ET.Element = html5rdf.HTMLParser(strict=True).parse(page)
    return root


def texts(root: ET.Element) -> str:
    return " ".join(text.strip() for text in root.itertext() if text.strip())


def found(root: ET.Element, tag: str) -> Iterator[ET.Element]:
    return root.iter(HTML + tag)


def test_the_page_is_sound_html(subject: Subject) -> None:
    parsed(render(subject))


def test_every_element_is_closed_where_it_should_be(subject: Subject) -> None:
    open_tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in {"meta", "img", "br"}:
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Balance().feed(render(subject))
    assert open_tags == []


def test_nothing_is_fetched_and_nothing_runs(subject: Subject) -> None:
    root = parsed(render(subject))
    for one in root.iter():
        tag = one.tag.rpartition("}")[2]
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in one.attrib.items():
            assert not name.startswith("on") and name != "style", name
            if name == "src":
                assert value.startswith("data:image/")
            if name.endswith("href"):
                assert value.startswith("#")
            assert "url(" not in value


def test_the_policy_allows_only_the_style_sheets_that_are_there(subject: Subject) -> None:
    root = parsed(render(subject))
    (policy,) = [one.attrib["content"] for one in found(root, "meta") if "http-equiv" in one.attrib]
    sheets = [one.text or "" for one in root.iter() if one.tag in {HTML + "style", SVG + "style"}]
    hashes = {b64encode(sha256(sheet.encode()).digest()).decode() for sheet in sheets}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not any("url(" in sheet or "@import" in sheet for sheet in sheets)


def test_every_link_leads_to_a_place_of_the_page(subject: Subject) -> None:
    root = parsed(render(subject))
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    assert {one.attrib["href"][1:] for one in found(root, "a")} <= set(ids)


def test_there_is_a_word_for_what_is_seen(subject: Subject) -> None:
    """Pictures have alternative texts, regions names, tables captions and heads."""
    root = parsed(render(subject))
    assert {one.tag for one in root.iter()} >= {HTML + tag for tag in ("header", "main", "nav", "footer", "h1")}
    assert all(one.attrib.get("alt") for one in found(root, "img"))
    assert all(one.attrib.get("aria-label") for one in root.iter() if one.attrib.get("role") == "region")
    for one in root.iter(SVG + "svg"):
        named = one.attrib.get("aria-label") or one.find(SVG + "title") is not None
        assert named or one.attrib.get("aria-hidden") == "true"
    for table in found(root, "table"):
        assert table.attrib.get("class") == "gantt" or table.find(HTML + "caption") is not None


def test_the_same_run_gives_the_same_page() -> None:
    assert render(study().subject()) == render(study().subject())


def hostile(odd: str) -> Subject:
    """A run in which everything that a file or a program says is `odd`."""
    nodes = [{"name": odd, "step": odd, "image": odd, "parameters": {odd: odd}},
             {"name": "t", "step": odd, "kind": "task", "task": odd, "upstream": [odd]}]  # fmt: skip
    host, code = {odd: odd}, {"snapshot": "0" * 64, "commit": odd, "branch": odd, "remote": odd, "not_captured": [odd]}
    diary = Diary("pipeline", odd, nodes, title=odd, tags=[odd], argv=[odd], host=host, code=code, version=odd)
    events = [{odd: 1.0, "deep": {odd: 2}}, {odd: 3.0, "deep": {odd: 4}}]
    log = odd.encode("utf-8", "surrogatepass")
    kept = {"events": events, "log": log, "command": odd, "parameters": {odd: odd}, "warnings": [odd], "detail": odd}
    diary.ran(odd, files={odd: b"1", f"{odd}.svg": log, f"{odd}.png": b"no picture"}, **kept)
    trials = [{"name": f"t.{place}", "parameters": {odd: value}} for place, value in enumerate((1, odd, 3, 4), 1)]
    diary.tell("trials-added", node="t", trials=trials)
    for trial in trials:
        diary.ran(trial["name"], state="failed", **kept)
    diary.tell("approval-decided", node="t", point=odd, approved=True, by=odd)
    return diary.subject("failed", goals={"t": Goal(odd, "maximize")}, values={odd: odd}, came_from=odd)


@pytest.mark.parametrize("odd", ODD)
def test_foreign_text_stays_text(odd: str) -> None:
    page = render(hostile(odd))
    root, plain = parsed(page), parsed(render(hostile("plain")))

    def shape(one: ET.Element) -> tuple[str, ...]:
        return tuple(child.tag for child in one.iter() if child.tag not in {SVG + "text", SVG + "title"})

    # A picture may break a text over lines, or tell a shortened one again: nothing else is otherwise.
    assert sorted(set(shape(root))) == sorted(set(shape(plain)))
    assert len(list(found(root, "section"))) == len(list(found(plain, "section")))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", page)
    for one in root.iter():
        assert not any(name.startswith("on") for name in one.attrib)


def test_what_a_command_line_or_an_address_hides_is_not_told() -> None:
    diary = Diary("exec", "a", [{"name": "a"}], argv=["exec", "a", "--var", "KEY=hunter2", "--var=PIN=hunter2",
                                                      "--data=s3://anna:hunter2@bucket/x"])  # fmt: skip
    page = render(diary.ran("a").subject())
    assert "hunter2" not in page
    assert "KEY=…" in page and "--var=PIN=…" in page and "s3://bucket/x" in page


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("everything", ["Tune & serve", "succeeded", "1 min 30 s", "attempt 1 of 2", "oom, exit code 137", "5.0 GiB",
                        "the best first: the greatest accuracy", "approved", "anna on here", "0123456789ab (dirty)",
                        "wrote best.pkl", "API_KEY", "https://example.com/iris.git", "pruned", "20 trials",
                        "one input file is empty", "https://example.com/iris.git"]),
        ("reused", ["= reused", "execution 1 of run 3 stands for it"]),
        ("failed", ["What went wrong", "exit code 1, the program ended with 1", "ValueError: no data", "– skipped",
                    "upstream"]),
        ("parked", ["The run is parked: b awaits approval.", "awaits approval at node-starting",
                    "? awaiting-approval"]),
        ("interrupted", ["The run was interrupted", "! interrupted", "runner-lost"]),
        ("under way", ["The run had not ended when this was written.", "so far"]),
        ("purged", ["was purged on 2026-02-03 by anna: a request", "There is no log here: it was removed",
                    "The picture was purged on",
                    "The metrics of execution 2 are not here", "Nor are those of"]),
        ("never ran", ["input, there is no `data.csv`"]),
    ],
)  # fmt: skip
def test_the_page_says_what_became_of_the_run(kind: str, words: list[str]) -> None:
    told = texts(parsed(render(SUBJECTS[kind]())))
    for word in words:
        assert word in told, word


def test_the_header_counts_nodes_and_apart_from_them_trials() -> None:
    root = parsed(render(SUBJECTS["everything"]()))
    (tiles,) = [one for one in found(root, "ul") if one.attrib.get("class") == "tiles"]
    told = [" ".join(one.itertext()) for one in tiles]
    assert told == ["1 min 30 s duration", "5 nodes succeeded", "19 trials succeeded", "1 trial pruned"]


def test_a_trial_that_was_given_up_is_pruned_and_nowhere_stopped() -> None:
    told = texts(parsed(render(SUBJECTS["everything"]())))
    assert "– pruned" in told and "19 succeeded, 1 pruned" in told and "tune.7 #8: pruned" in told
    assert "stopped" not in told and "pruned, worse than" not in told


def test_the_best_trial_comes_first() -> None:
    root = parsed(render(SUBJECTS["everything"]()))
    (section,) = [one for one in found(root, "section") if one.attrib["id"] == "trials"]
    names = [next(row.itertext()) for row in section.iter(HTML + "tr")][1:]
    assert names[0] == "tune.10"
    assert names[-1] == "tune.7"
    assert len(names) == 20


def test_pictures_are_shown_as_images_only() -> None:
    root = parsed(render(SUBJECTS["everything"]()))
    kinds = [one.attrib["src"].partition(";")[0] for one in found(root, "img")]
    assert kinds == ["data:image/png", "data:image/svg+xml"]


def test_what_only_has_the_name_of_a_picture_is_none() -> None:
    files = {"a.png": b"<html>", "b.gif": b"GIF89a", "c.jpg": png(2, 2)}
    root = parsed(render(Diary("exec", "a", [{"name": "a"}]).ran("a", files=files).subject()))
    assert [one.attrib["alt"] for one in found(root, "img")] == ["b.gif, an output of a"]


def test_pictures_for_which_there_is_no_room_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PICTURES", 2)
    monkeypatch.setattr(output, "LARGEST", 1000)
    files = {f"{place}.png": png(2, 2 + place) for place in range(3)} | {"large.gif": b"GIF89a" + bytes(2000)}
    root = parsed(render(Diary("exec", "a", [{"name": "a"}]).ran("a", files=files).subject()))
    assert len(list(found(root, "img"))) == 2
    assert "2 pictures: 2.png, large.gif" in texts(root)


def test_a_thousand_executions_make_a_page_of_bearable_size() -> None:
    values = [{"rate": 0.01, "depth": place} for place in range(1000)]
    trials = [{"name": f"tune.{place}", "parameters": value} for place, value in enumerate(values, 1)]
    diary = Diary("pipeline", "Big", [{"name": "tune", "kind": "task"}]).tell(
        "trials-added", node="tune", trials=trials
    )
    for place, trial in enumerate(trials):
        state = "failed" if place == 700 else "succeeded"
        diary.ran(trial["name"], place, 1, state, events=learning(0.01, place % 9, 60), log=b"a line\n" * 5000)
    page = render(diary.subject(goals={"tune": Goal("accuracy", "maximize")}))
    assert len(page) < 4_000_000
    told = texts(parsed(page))
    assert "300 of 1,000 executions are told in full, those that did not succeed first" in told
    assert "some are drawn, evenly chosen: 40 of 1,000" in told
    assert "1,000 executions in the" in told
    assert "950 further trials" in told
    # The one that failed is among those that are told, though it is far behind.
    assert 'href="#e-01980000-0000-7000-8000-000000000701"' in page


def test_a_large_graph_is_drawn_in_groups() -> None:
    nodes: list[dict[str, Any]] = [{"name": "first"}]
    nodes += [{"name": f"n{place}", "step": "work", "upstream": ["first"]} for place in range(500)]
    diary = Diary("pipeline", "Wide", nodes)
    for place, node in enumerate(nodes):
        diary.moved(node["name"], "failed" if place == 77 else "succeeded")
    told = texts(parsed(render(diary.subject("failed"))))
    assert "Nodes of one step at the same depth share a box: 501 nodes." in told
    assert "work × 500 (failed)" in told and "499 succeeded, 1 failed" in told


def test_a_chain_too_long_for_a_picture_is_told_so() -> None:
    nodes = [{"name": f"n{place}", "upstream": [f"n{place - 1}"] if place else []} for place in range(300)]
    told = texts(parsed(render(Diary("pipeline", "Long", nodes).subject())))
    assert "300 nodes are too many for a picture" in told


def test_an_execution_that_stands_for_two_nodes_is_told_once() -> None:
    subject = reused()
    twice = replace(subject, parts=(*subject.parts, replace(subject.parts[0], node=subject.run.nodes["a"])))
    page = render(twice)
    assert page.count('<details id="e-01980000-0000-7000-8000-000000000001"') == 1
