"""A store has no more than its quota when a run begins."""

import pytest

YAML = """\
- step:
    name: make
    image: busybox
    command: head -c 300000 /dev/urandom > "$VH_OUTPUTS_DIR/data"
"""


@pytest.fixture
def project(make, tmp_path):
    project = make(YAML).with_variables(MLRUN_STORE=str(tmp_path / "store"), XDG_CONFIG_HOME=str(tmp_path / "config"))
    settings = tmp_path / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('quota = "400K"\nkeep-last = 1\n')
    return project


def test_a_run_is_refused_before_it_begins_and_works_again_after_a_removal(project):
    for _ in range(2):
        project.succeeds("exec", "make")
    said = project.refused("exec", "make", code=32)
    assert "its quota is 409,600" in said and "`mlrun gc` says what may go" in said
    assert ": runs are refused" in project.succeeds("du").out
    assert "runs are refused" in project.mlrun("doctor").out
    project.succeeds("gc", "--yes")
    said = project.refused("exec", "make", code=32)
    assert "`mlrun gc --now` empties its trash" in said
    project.succeeds("gc", "--now")
    project.succeeds("exec", "make")


def test_what_only_looks_works_over_the_quota(project):
    for _ in range(2):
        project.succeeds("exec", "make")
    for words in (["list"], ["show"], ["outputs"], ["logs"], ["gc"], ["du"]):
        project.succeeds(*words)
