import os
from pathlib import Path

import pytest

from runner.executors.interpreter import Interpreter
from runner.executors.rootfs import Root
from runner.executors.sandbox import arguments, refusal_hint
from runner.executors.site import Site
from runner.job import Network


def interpreter(prefix, *, sites=(), editable=()):
    return Interpreter(
        executable=f"{prefix}/bin/python3",
        base_executable="/usr/bin/python3",
        prefix=str(prefix),
        base_prefix="/usr",
        version="3.11.2",
        implementation="cpython",
        build="",
        sites=tuple(map(str, sites)),
        purelib="lib/python3.11/site-packages",
        platlib="lib/python3.11/site-packages",
        packages={},
        editable=tuple(map(str, editable)),
        pip=True,
        pip_wheel="",
    )


@pytest.fixture
def machine(tmp_path):
    """A home with a store, a checkout and room for interpreters."""
    home = tmp_path / "home"
    for name in ("store", "checkout", "bin", ".local/bin", ".local/lib/python3.11", ".local/share/keyrings"):
        (home / name).mkdir(parents=True)
    return home


def root(home, python, *path, store=None):
    variables = {"HOME": str(home), "PATH": os.pathsep.join(map(str, path))}
    return Root(Site(store or home / "store", home / "cache", home / "checkout", variables), python)


def bound(made):
    """What is bound from the machine, system folders apart."""
    words = list(made.bare())
    sources = [words[number + 1] for number, word in enumerate(words) if word == "--ro-bind"]
    return [source for source in sources if Path(source).parts[1] in ("home", "tmp", "root")]


def covered(made):
    words = list(made.bare())
    return [words[number + 1] for number, word in enumerate(words) if word == "--tmpfs"]


def test_an_environment_in_a_home_is_shown_and_nothing_else_of_it(machine):
    (machine / "env" / "bin").mkdir(parents=True)
    (machine / "env" / "pyvenv.cfg").touch()

    assert bound(root(machine, interpreter(machine / "env"))) == [f"{machine}/env"]


def test_a_prefix_that_holds_other_things_is_shown_in_parts(machine):
    made = root(machine, interpreter(machine / ".local"), store=machine / ".local/share/mlrun")

    assert bound(made) == [f"{machine}/.local/bin", f"{machine}/.local/lib"]


def test_a_home_is_never_shown_whole(machine):
    (machine / "pyvenv.cfg").touch()
    (machine / "lib").mkdir()
    made = root(machine, interpreter(machine, sites=[machine, machine.parent]), machine, machine.parent, "/")

    assert bound(made) == [f"{machine}/bin", f"{machine}/lib", f"{machine}/pyvenv.cfg"]


def test_folders_of_the_path_are_shown_but_not_those_of_the_project_or_the_store(machine):
    (machine / "checkout" / "node_modules").mkdir()
    (machine / "store" / "bin").mkdir()
    entries = (
        machine / "bin",
        machine / "checkout" / "node_modules",
        machine / "store" / "bin",
        "relative",
        "",
        "/no/such",
    )
    made = root(machine, interpreter("/usr"), *entries)

    assert bound(made) == [f"{machine}/bin"]
    assert str(machine / "bin") in made.path
    assert not any("checkout" in entry or "store" in entry or "relative" in entry for entry in made.path)
    assert {"/usr/bin", "/bin"} <= set(made.path)


def test_an_environment_inside_the_project_is_shown_and_the_project_is_not(machine):
    environment = machine / "checkout" / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    sites = [environment / "lib", machine / "checkout", machine / "checkout" / "src"]
    made = root(machine, interpreter(environment, sites=sites), environment / "bin")

    assert bound(made) == [str(environment)]
    assert made.path[0] == f"{environment}/bin"


def test_an_editable_install_elsewhere_is_shown(machine):
    (machine / "other").mkdir()

    assert bound(root(machine, interpreter("/usr", editable=[machine / "other"]))) == [f"{machine}/other"]


def test_what_has_the_store_in_it_is_shown_in_parts(machine):
    environment = machine / "env"
    (environment / "share" / "store").mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "pyvenv.cfg").touch()
    made = root(machine, interpreter(environment), environment, store=environment / "share" / "store")

    assert bound(made) == [f"{environment}/bin", f"{environment}/pyvenv.cfg"]


def test_parents_of_what_is_shown_can_be_passed(machine):
    words = list(root(machine, interpreter("/usr"), machine / "bin").bare())
    made = [words[number + 1] for number, word in enumerate(words) if word == "--dir"]
    places = [number for number, word in enumerate(words) if word == "--dir" and words[number + 1] in made]

    assert str(machine) in made
    assert all(words[number - 2 : number] == ["--perms", "0755"] for number in places)


def test_homes_run_and_var_of_the_machine_are_not_in_the_root(machine):
    words = list(root(machine, interpreter("/usr")).bare())
    sources = {words[number + 1] for number, word in enumerate(words) if word.endswith("bind")}

    assert sources & {"/", "/home", "/root", "/var", "/run", "/srv", "/mnt", "/media", "/tmp", "/boot"} == set()
    assert "/usr" in sources
    assert "/etc" in sources


def test_the_network_is_cut_only_when_it_is_to_be():
    assert "--unshare-net" in arguments(Network.NONE)
    assert "--unshare-net" not in arguments(Network.DEFAULT)
    assert "--unshare-net" not in arguments(Network.HOST)


def test_root_keeps_no_capability_that_could_change_the_machine(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = arguments(Network.DEFAULT)
    kept = {words[number + 1] for number, word in enumerate(words) if word == "--cap-add"}

    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert (
        kept & {"CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_PTRACE", "CAP_SYS_MODULE"}
        == set()
    )


@pytest.mark.parametrize("words", [["--unshare-pid"], ["--new-session"], ["--die-with-parent"]])
def test_every_sandbox_is_apart(words):
    assert set(words) <= set(arguments(Network.DEFAULT))


@pytest.mark.parametrize(
    ("settings", "said", "hint"),
    [
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, "", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ({"kernel/unprivileged_userns_clone": "0"}, "", "kernel.unprivileged_userns_clone=1"),
        ({"user/max_user_namespaces": "0"}, "", "user.max_user_namespaces"),
        ({}, "bwrap: Creating new namespace failed: Operation not permitted", "--executor process"),
        ({}, "bwrap: setting up uid map: Permission denied", "--executor process"),
    ],
)
def test_a_refusal_of_the_kernel_comes_with_its_cure(settings, said, hint):
    assert hint in refusal_hint(said, lambda name: settings.get(name, ""))


def test_an_unknown_refusal_has_no_cure():
    assert refusal_hint("bwrap: something else", lambda name: "") is None
