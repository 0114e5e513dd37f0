"""Many tiny nodes that know nothing of one another, two at a time."""

from pathlib import Path

from benchmarks.measure import race, timed
from benchmarks.peer import find_peer
from benchmarks.project import fan_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run

SNAKEFILE = """\
rule all:
    input: expand("n{{number}}", number=range({width}))

rule leaf:
    output: "n{{number}}"
    shell: "touch {{output}}"
"""


def measure(setting: Setting) -> Report:
    """200 independent `true` nodes in the sandbox, two at a time, beside as many shell jobs of snakemake."""
    width = setting.size(200, 40)
    project = make_project(setting.folder / "project", fan_text(width, "'true'"))
    words = ["mlrun", "pipeline", "fan", "--executor", "sandbox", "--jobs", "2", "--no-reuse"]
    lanes = [timed("mlrun", lambda: run(words, project))]
    notes = ["a job of snakemake is `touch`, isolated from nothing"]
    try:
        peer = find_peer(setting, "snakemake")
    except LeftOut as reason:
        notes = [str(reason)]
    else:
        folder = _snakefile(setting.folder / "snakemake", width)
        lanes.append(timed("peer", lambda: run([peer.program, "--cores", "2", "--forceall"], folder)))
    found = race(lanes, setting.rounds_or(5))
    if "peer" not in found:
        return Report([Row(f"mlrun pipeline, {width} nodes", found["mlrun"])], notes)
    rows = [
        Row(f"mlrun pipeline, {width} nodes", found["mlrun"], (found["peer"], "snakemake"), "< 1 ×"),
        Row(f"{peer.title}, {width} jobs", found["peer"]),
    ]
    return Report(rows, notes)


def _snakefile(folder: Path, width: int) -> Path:
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.format(width=width))
    return folder
