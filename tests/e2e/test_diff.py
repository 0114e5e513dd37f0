"""`mlrun diff` in real repositories: which revisions are compared, and that nothing of them is run."""

import subprocess
from pathlib import Path

import pytest

YAML = """
- step:
    name: train
    image: python:3.11
    command: python train.py {parameters}
    parameters:
      - name: lr
        type: float
        default: 0.1

- step:
    name: evaluate
    image: python:3.11
    command: python evaluate.py
    inputs:
      - name: model

- pipeline:
    name: Training
    nodes:
      - name: train
        type: execution
        step: train
      - name: evaluate
        type: execution
        step: evaluate
    edges:
      - [train.output.model.pkl, evaluate.input.model]
"""
FILES = {"train.py": "print(1)\n", "evaluate.py": "print(2)\n", "README.md": "words\n"}


@pytest.fixture
def project(make):
    return make(YAML, FILES)


def fates(project, *arguments, folder=None):
    found = project.succeeds("diff", "--format", "json", *arguments, folder=folder).json()
    return {node["name"]: node["fate"] for pipeline in found["pipelines"] for node in pipeline["nodes"]}


def test_an_unchanged_project_is_one_sentence(project) -> None:
    assert project.succeeds("diff").out == "valohai.yaml: main → working tree\nno difference\n"
    assert project.succeeds("diff", "--exit-code").code == 0


def test_a_change_of_the_working_tree_is_told_in_words_in_nodes_and_in_graphs(project) -> None:
    project.write("valohai.yaml", YAML.replace("default: 0.1", "default: 0.2"))
    out = project.succeeds("diff").out
    assert "1 step changed: 1 of 2 nodes runs again, 1 depends on what others write" in out
    assert "parameter `lr`: `default` `0.1` → `0.2`" in out
    assert "runs again: parameter `lr` changed" in out
    assert "depends on what `train` writes" in out
    assert "Graph of `Training`, after" in out
    assert "\x1b" not in out
    assert project.mlrun("diff", "--exit-code").code == 1


def test_a_branch_is_compared_with_where_it_left_the_default_branch(project) -> None:
    project.git("checkout", "--quiet", "-b", "work")
    project.write("valohai.yaml", YAML.replace("0.1", "0.2"))
    project.commit()
    project.git("checkout", "--quiet", "main")
    project.write("valohai.yaml", YAML.replace("python:3.11", "python:3.12"))
    project.commit()
    project.git("checkout", "--quiet", "work")
    assert "1 step changed" in project.succeeds("diff").out
    assert "2 steps changed" in project.succeeds("diff", "main..work").out
    assert "1 step changed" in project.succeeds("diff", "main...work").out
    assert "2 steps changed" in project.succeeds("diff", "work", "main").out
    assert project.succeeds("diff", "work").out.endswith("no difference\n")


def test_a_detached_head_of_a_clone_knows_the_default_branch_of_its_origin(project, tmp_path: Path) -> None:
    project.git("checkout", "--quiet", "-b", "work")
    project.write("valohai.yaml", YAML.replace("0.1", "0.2"))
    commit = project.commit()
    project.git("checkout", "--quiet", "main")
    clone = tmp_path / "clone"
    project.git("clone", "--quiet", str(project.folder), str(clone))
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
    subprocess.run(["git", "branch", "--quiet", "-D", "main"], cwd=clone, check=True)
    out = project.succeeds("diff", folder=clone).out
    assert "origin/main → working tree" in out
    assert "1 step changed" in out


def test_a_shallow_clone_is_told_how_to_get_what_it_lacks(project, tmp_path: Path) -> None:
    project.git("checkout", "--quiet", "-b", "work")
    project.commit()
    clone = tmp_path / "clone"
    project.git("clone", "--quiet", "--depth=1", "--branch=work", f"file://{project.folder}", str(clone))
    subprocess.run(["git", "remote", "set-head", "origin", "--delete"], cwd=clone, check=True)
    said = project.refused("diff", code=2, folder=clone)
    assert "fetch-depth: 0" in said
    assert "git fetch --unshallow" in said


def test_code_that_a_command_names_makes_its_node_run_again(project) -> None:
    project.write("train.py", "print(3)\n")
    assert fates(project) == {"train": "runs-again", "evaluate": "depends"}
    project.write("train.py", FILES["train.py"])
    project.write("README.md", "other words\n")
    assert fates(project) == {"train": "may-run-again", "evaluate": "may-run-again"}


def test_an_untracked_file_counts_and_an_ignored_one_does_not(project) -> None:
    project.write(".gitignore", "*.log\n")
    project.commit()
    project.write("x.log", "")
    assert project.succeeds("diff", "HEAD").out.endswith("no difference\n")
    project.write("new.py", "")
    assert fates(project, "HEAD") == {"train": "runs-again", "evaluate": "runs-again"}


def test_a_file_that_is_on_one_side_only_is_all_new_or_all_gone(project) -> None:
    first = project.git("rev-parse", "HEAD").strip()
    project.git("rm", "--quiet", "valohai.yaml")
    assert "2 steps removed, 1 pipeline removed" in project.succeeds("diff").out
    project.commit()
    out = project.succeeds("diff", "HEAD", first).out
    assert "the base side has no such file" in out
    assert "2 steps added, 1 pipeline added" in out
    assert "neither" in project.refused("diff", "HEAD", code=10)


def test_a_project_below_the_root_of_its_repository_is_found(project) -> None:
    project.write("deep/project/valohai.yaml", YAML)
    (project.folder / "deep/project/src").mkdir()
    project.commit()
    project.write("deep/project/valohai.yaml", YAML.replace("0.1", "0.2"))
    out = project.succeeds("diff", "HEAD", folder=project.folder / "deep/project").out
    assert out.startswith("deep/project/valohai.yaml: ")
    assert "1 step changed" in out
    assert (
        "deep/project/valohai.yaml" in project.succeeds("diff", "HEAD", folder=project.folder / "deep/project/src").out
    )
    assert "1 step changed" in project.succeeds("diff", "HEAD", "--yaml", "deep/project/valohai.yaml").out
    assert "outside" in project.refused("diff", "--yaml", "../x.yaml", code=2)


def test_an_edge_from_nowhere_is_a_new_error(project) -> None:
    project.write("valohai.yaml", YAML.replace("- name: train\n        type", "- name: fit\n        type"))
    out = project.succeeds("diff").out
    assert "1 new error" in out
    assert "unknown-node: pipeline `Training` has no node `train`" in out
    assert fates(project)["evaluate"] == "unknown"


def test_a_broken_head_names_its_new_errors(project) -> None:
    project.write("valohai.yaml", YAML.replace("    image: python:3.11\n    command: python evaluate.py\n", ""))
    out = project.succeeds("diff").out
    assert "New errors" in out
    assert "step `evaluate` changed, and has errors" in out
    assert "cannot be told: its step `evaluate` is missing or broken" in out
    project.write("valohai.yaml", "- step: [")
    assert "cannot be understood on the head side" in project.succeeds("diff").out


@pytest.mark.parametrize("words", [["nowhere"], ["main..nowhere"], ["--", "--output=x"], ["a", "b", "c"], ["main\n"]])
def test_words_that_are_no_revisions_are_refused(project, words: list[str]) -> None:
    assert project.mlrun("diff", *words).code == 2
    assert not (project.folder / "x").exists()


def test_outside_a_repository_there_is_nothing_to_compare(project, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    assert "no git repository" in project.refused("diff", code=2, folder=bare)


def test_nothing_that_a_repository_names_is_run(project) -> None:
    trap = project.write("trap.sh", "#!/bin/sh\ntouch sprung; cat\n")
    trap.chmod(0o755)
    project.write(".gitattributes", "* filter=trap diff=trap\n")
    project.commit()
    for key in ("filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.trap.textconv",
                "diff.trap.command", "diff.external", "core.fsmonitor", "core.pager", "core.sshCommand"):  # fmt: skip
        project.git("config", key, str(trap))
    hooks = project.folder / ".git" / "hooks"
    for hook in ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"):
        (hooks / hook).write_text(f"#!/bin/sh\n{trap}\n")
        (hooks / hook).chmod(0o755)
    project.write("valohai.yaml", YAML.replace("0.1", "0.2"))
    project.write("train.py", "print(4)\n")
    assert fates(project, "HEAD") == {"train": "runs-again", "evaluate": "depends"}
    assert not (project.folder / "sprung").exists()


def test_a_link_a_submodule_and_a_lfs_pointer_are_files(project, tmp_path: Path) -> None:
    content = b"weights " * 1000
    digest = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    project.write("weights.bin", pointer)
    (project.folder / "link").symlink_to("README.md")
    other = tmp_path / "other"
    project.git("clone", "--quiet", str(project.folder), str(other))
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    project.commit()
    (project.folder / "weights.bin").write_bytes(content)
    assert project.succeeds("diff", "HEAD").out.endswith("no difference\n")
    (project.folder / "link").unlink()
    (project.folder / "link").symlink_to("/etc/passwd")
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"],
                   cwd=project.folder / "sub", check=True)  # fmt: skip
    files = project.succeeds("diff", "HEAD", "--format", "json").json()["files"]
    assert [file["path"] for file in files] == ["link", "sub"]


def test_what_is_uncommitted_in_a_submodule_is_a_change(project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    project.git("clone", "--quiet", str(project.folder), str(other))
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    project.commit()
    assert project.succeeds("diff", "HEAD").out.endswith("no difference\n")
    project.write("sub/train.py", "print(9)\n")
    assert fates(project, "HEAD") == {"train": "may-run-again", "evaluate": "may-run-again"}


def test_no_policy_leaves_out_a_submodule_that_holds_its_code(project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    project.git("clone", "--quiet", str(project.folder), str(other))
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    policies = "- policy: {step: train, code: [sub/train.py]}\n- policy: {step: evaluate, code: [evaluate.py]}\n"
    project.write("valohai.yaml", YAML.replace("python train.py", "python sub/train.py") + policies)
    project.commit()
    project.write("sub/train.py", "print(9)\n")
    assert fates(project, "HEAD") == {"train": "runs-again", "evaluate": "depends"}


def test_an_ignored_file_that_is_tracked_all_the_same_counts(project) -> None:
    project.write(".gitignore", "train.py\n")
    project.commit()
    project.write("train.py", "print(7)\n")
    assert fates(project, "HEAD")["train"] == "runs-again"


def test_a_merge_that_is_not_finished_is_told_as_such(project) -> None:
    project.git("checkout", "-qb", "work")
    project.write("valohai.yaml", YAML.replace("0.1", "0.2"))
    project.commit()
    project.git("checkout", "-q", "main")
    project.write("valohai.yaml", YAML.replace("0.1", "0.3"))
    project.commit()
    merge = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "merge", "work"]
    assert subprocess.run(merge, cwd=project.folder, capture_output=True, check=False).returncode == 1
    out = project.succeeds("diff", "HEAD").out
    assert "the file cannot be understood on the head side" in out
    assert "a merge that is not finished begins here" in out


def test_what_is_not_checked_out_counts_as_the_index_has_it(project, tmp_path: Path) -> None:
    other, clone = tmp_path / "other", tmp_path / "clone"
    project.write("lib/model.py", "1\n")
    project.commit()
    project.git("clone", "--quiet", str(project.folder), str(other))
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    project.commit()
    project.write("lib/model.py", "2\n")
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"],
                   cwd=project.folder / "sub", check=True)  # fmt: skip
    project.commit()
    project.git("clone", "--quiet", str(project.folder), str(clone))
    assert project.succeeds("diff", "HEAD", folder=clone).out.endswith("no difference\n")
    subprocess.run(["git", "sparse-checkout", "set", "--no-cone", "/*", "!/lib/"], cwd=clone, check=True)
    assert not (clone / "lib").exists()
    files = project.succeeds("diff", "HEAD~1", "--format", "json", folder=clone).json()["files"]
    assert [file["path"] for file in files] == ["lib/model.py", "sub"]


def test_a_small_file_behind_a_lfs_pointer_is_its_pointer(project) -> None:
    digest = subprocess.run(["sha256sum"], input=b"tiny", capture_output=True, check=True).stdout.split()[0].decode()
    project.write("icon.png", f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 4\n")
    project.commit()
    project.write("icon.png", "tiny")
    assert project.succeeds("diff", "HEAD").out.endswith("no difference\n")
    project.write("icon.png", "tidy")
    assert fates(project, "HEAD")["train"] == "may-run-again"


def test_a_partial_clone_says_what_it_lacks_and_how_to_get_it(project, tmp_path: Path) -> None:
    project.write("valohai.yaml", YAML.replace("0.1", "0.2"))
    project.commit()
    project.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    project.git("clone", "--quiet", "--filter=blob:none", f"file://{project.folder}", str(clone))
    assert project.succeeds("diff", "HEAD", folder=clone).out.endswith("no difference\n")
    complaint = project.refused("diff", "HEAD~1", code=41, folder=clone)
    assert "this clone of the repository lacks the object" in complaint
    assert "git cat-file -e" in complaint
    subprocess.run(["git", "cat-file", "-e", "HEAD~1:valohai.yaml"], cwd=clone, check=True)
    assert fates(project, "HEAD~1", folder=clone) == {"train": "runs-again", "evaluate": "depends"}


def test_the_mode_of_the_yaml_file_is_a_change_of_the_repository(project) -> None:
    (project.folder / "valohai.yaml").chmod(0o755)
    assert fates(project, "HEAD") == {"train": "runs-again", "evaluate": "runs-again"}


def test_a_link_into_the_folder_of_git_is_not_followed(project) -> None:
    (project.folder / "valohai.yaml").unlink()
    (project.folder / "valohai.yaml").symlink_to(".git/config")
    assert "a link that leads out of the repository" in project.refused("diff", "HEAD", code=10)


def test_hostile_names_reach_neither_terminal_nor_comment(project) -> None:
    name = "\\e[2J`</details>@octocat #1"
    project.write("valohai.yaml", YAML + f'\n- step:\n    name: "{name}"\n    image: i\n    command: x\n')
    (project.folder / "\x1b[31mred\n@octocat").write_text("")
    text, page = (project.succeeds("diff", "--format", form).out for form in ("text", "markdown"))
    assert "\x1b" not in text + page
    assert "- step ``\\x1b[2J`</details>@octocat #1`` added" in page
    assert "\n@octocat" not in text + page


def test_the_markdown_has_both_graphs_of_a_changed_pipeline(project) -> None:
    more = "      - name: again\n        type: execution\n        step: train\n    edges:"
    project.write("valohai.yaml", YAML.replace("    edges:", more))
    page = project.succeeds("diff", "--format", "markdown").out
    assert page.startswith("**1 pipeline changed: 1 of 3 nodes runs again**\n")
    assert page.count("```mermaid") == 2
    assert "node `again` added (`type: execution, step: train`)" in page
