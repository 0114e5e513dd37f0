import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors.interpreter import Callers
from runner.executors.site import Site


@pytest.fixture
def environment(tmp_path):
    """A virtual environment with a package of its own."""
    folder = tmp_path / "env"
    venv.create(folder, symlinks=True)
    add(folder, "first", "1.0")
    return folder


def packages(environment):
    return next(environment.glob("lib/python*/site-packages"))


def add(environment, name, version, record=""):
    info = packages(environment) / f"{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(record)
    (packages(environment) / f"{name}.py").write_text(f"version = {version!r}\n")
    return info


@pytest.fixture
def callers(tmp_path, environment):
    def make(**variables):
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "VIRTUAL_ENV": str(environment),
            **variables,
        }
        return Callers(Site(tmp_path / "store", tmp_path / "cache", tmp_path / "checkout", given))

    return make


def test_the_active_environment_is_the_callers(callers, environment):
    python = callers().interpreter()

    assert python.prefix == str(environment)
    assert python.executable == f"{environment}/bin/python"
    assert python.version == "{}.{}.{}".format(*sys.version_info)
    assert python.packages["first"][0] == "1.0"
    assert str(packages(environment)) in python.sites


def test_without_one_the_first_python_on_the_path_is(callers, environment, tmp_path):
    python = callers(VIRTUAL_ENV="", PATH=f"{tmp_path}/none:{environment}/bin").interpreter()

    assert python.prefix == str(environment)


def test_an_environment_that_is_gone_is_passed_over(callers, environment, tmp_path):
    assert callers(VIRTUAL_ENV=str(tmp_path / "gone"), PATH=f"{environment}/bin").interpreter().prefix == str(
        environment
    )


def test_no_python_at_all_is_an_error_with_a_hint(callers, tmp_path):
    with pytest.raises(MlrunError) as refusal:
        callers(VIRTUAL_ENV="", PATH=str(tmp_path)).interpreter()

    assert refusal.value.code is ExitCode.EXECUTOR
    assert refusal.value.hint


@pytest.mark.parametrize("text", ["#!/bin/sh\necho oops >&2; exit 3\n", "#!/bin/sh\necho nonsense\n", "#!/no/such\n"])
def test_a_python_that_does_not_answer_is_an_error_in_one_line(callers, tmp_path, text):
    (tmp_path / "python3").write_text(text)
    (tmp_path / "python3").chmod(0o755)
    with pytest.raises(MlrunError) as refusal:
        callers(VIRTUAL_ENV="", PATH=f"{tmp_path}:/usr/bin:/bin").interpreter()

    assert refusal.value.code is ExitCode.EXECUTOR
    assert "\n" not in refusal.value.message


def test_the_interpreter_is_asked_once(callers, monkeypatch):
    first = callers().interpreter()
    monkeypatch.setattr(subprocess, "run", lambda *args, **given: pytest.fail("asked again"))

    assert callers().interpreter() == first


@pytest.mark.parametrize(
    "damage", ["", "{}", '{"witness": []}', '{"witness": [], "answer": {}}', "[1]", '{"witness": 3}']
)
def test_a_damaged_cache_is_made_anew(callers, tmp_path, damage):
    first = callers().interpreter()
    for file in (tmp_path / "cache").iterdir():
        file.write_text(damage)

    assert callers().interpreter() == first


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, environment):
    (tmp_path / "file").touch()
    given = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": str(environment)}

    assert Callers(Site(tmp_path, tmp_path / "file" / "cache", None, given)).interpreter().prefix == str(environment)


def test_the_identity_follows_what_is_installed(callers, environment):
    keeper = callers()
    before = keeper.identity()
    assert callers().identity() == before
    info = add(environment, "second", "2.0")
    installed = keeper.identity()
    for path in info.iterdir():
        path.unlink()
    info.rmdir()
    (packages(environment) / "second.py").unlink()

    assert installed.id != before.id
    assert "second==2.0" in installed.details["distributions"]
    assert callers().identity() == before


def test_the_identity_follows_the_content_of_a_package(callers, environment):
    before = callers().identity()
    info = add(environment, "first", "1.0", record="first.py,sha256=other,1\n")
    os.utime(info.parent)

    assert callers().identity().id != before.id


def test_the_identity_follows_the_source_of_an_editable_install(callers, environment, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "code.py").write_text("a = 1\n")
    info = add(environment, "edited", "1.0")
    (info / "direct_url.json").write_text(f'{{"url": "file://{source}", "dir_info": {{"editable": true}}}}')
    before = callers().identity()
    (source / "code.py").write_text("a = 22\n")
    after = callers().identity()

    assert before.details["editable"] == [str(source)]
    assert after.id != before.id


def test_the_live_project_itself_does_not_count(callers, environment, tmp_path):
    """A step runs a copy of it, whose content is known."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    info = add(environment, "project", "1.0")
    (info / "direct_url.json").write_text(f'{{"url": "file://{checkout}", "dir_info": {{"editable": true}}}}')
    before = callers().identity()
    (checkout / "code.py").write_text("a = 22\n")

    assert callers().identity() == before


def test_a_shim_is_asked_again_in_another_folder(callers, environment, tmp_path, monkeypatch):
    other = tmp_path / "other-env"
    venv.create(other, symlinks=True)
    shims, inside = tmp_path / "shims", tmp_path / "inside"
    shims.mkdir()
    inside.mkdir()
    (shims / "python3").write_text(
        f"#!/bin/sh\nfolder={environment}\nif [ -e .python-version ]; then folder={other}; fi\n"
        'exec "$folder/bin/python" "$@"\n'
    )
    (shims / "python3").chmod(0o755)
    path = f"{shims}:{os.environ['PATH']}"
    monkeypatch.chdir(inside)
    outside = callers(VIRTUAL_ENV="", PATH=path).interpreter()
    (inside / ".python-version").touch()
    changed = callers(VIRTUAL_ENV="", PATH=path).interpreter()
    monkeypatch.chdir(tmp_path)
    elsewhere = callers(VIRTUAL_ENV="", PATH=path).interpreter()

    assert (outside.prefix, changed.prefix, elsewhere.prefix) == (str(environment), str(other), str(environment))


# --- the private layer


@pytest.fixture
def layer(callers, tmp_path):
    folder = tmp_path / "with blank" / "layer"
    callers().interpreter().make_layer(folder, str(folder))
    return folder


def ask(layer, code):
    done = subprocess.run([layer / "bin/python", "-c", code], env={}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_programs_of_a_layer_whose_path_is_no_text_work(callers, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")) / "layer"
    callers().interpreter().make_layer(folder, str(folder))
    done = subprocess.run([folder / "bin/pip", "--version"], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pip ")


def test_the_layer_imports_from_the_caller_after_itself(layer):
    assert ask(layer, "import first; print(first.version)") == "1.0"
    own = next(layer.glob("lib/python*/site-packages"))
    (own / "first.py").write_text("version = 'own'\n")

    assert ask(layer, "import first; print(first.version)") == "own"
    assert ask(layer, "import sys; print(sys.prefix)") == str(layer)


def test_nothing_of_the_layer_is_written_to_the_caller(layer, environment):
    before = sorted(environment.rglob("*"))
    ask(layer, "import first")

    assert [path for path in sorted(environment.rglob("*")) if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ]


def test_pip_of_the_layer_installs_into_the_layer(layer, environment):
    done = subprocess.run([layer / "bin/pip", "--version"], env={}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pip ")
    assert ask(layer, "import sysconfig; print(sysconfig.get_path('purelib'))").startswith(str(layer))


def test_the_layer_of_an_environment_without_pip_uses_a_bundled_one(layer, environment):
    """`venv.create` installs none unless it is asked to."""
    assert not list(packages(environment).glob("pip*"))
    assert "ensurepip" in Path(layer / "bin/pip").read_text() or "python-wheels" in Path(layer / "bin/pip").read_text()
