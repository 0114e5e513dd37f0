"""What the user grants, on folders of their own."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.app import grant as grant_module
from runner.app.grant import Granted, grant_plan, grant_recorded, unkept
from runner.errors import ExitCode, MlrunError
from runner.job import Allowance, HostMount, Job, Network, Script
from runner.plan.compile import compile_step
from runner.plan.model import Arguments, Plan
from runner.settings import Door, Settings, open_door
from runner.spec.project import parse_project


def plan(fields: str) -> Plan:
    text = f"- step:\n    name: a\n    image: b\n    command: c\n    {fields}\n"
    project = parse_project(text.encode(), "valohai.yaml")
    assert "a" in project.steps, project.problems
    return compile_step(project.steps["a"], Arguments("/"), "/")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return Path(os.path.realpath(tmp_path))


@pytest.fixture
def settings(top: Path) -> Settings:
    return Settings(store=top / "store")


def mounted(source: Path | str, settings: Settings, *doors: Door, more: str = "") -> Granted:
    given = Settings(store=settings.store, mounts=doors)
    return grant_plan(plan(f"mounts: [{{source: '{source}', destination: /mnt/x{more}}}]"), given)


def refused(source: Path | str, settings: Settings, *doors: Door, more: str = "") -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        mounted(source, settings, *doors, more=more)
    assert caught.value.location is not None
    assert caught.value.hint
    return caught.value


def test_a_step_that_asks_for_nothing_gets_nothing(settings: Settings) -> None:
    granted = grant_plan(plan("category: x"), settings)
    assert granted.nodes["a"].mounts == ()
    assert granted.notices == ()


def test_what_lies_in_an_open_folder_is_granted(top: Path, settings: Settings) -> None:
    (top / "data" / "deep").mkdir(parents=True)
    granted = mounted(top / "data" / "deep", settings, Door(str(top / "data")))
    assert granted.nodes["a"].mounts == (HostMount(str(top / "data" / "deep"), "/mnt/x", False),)


def test_the_hint_is_the_very_flag_that_opens_the_door(top: Path, settings: Settings) -> None:
    (top / "data").mkdir()
    for more in ("", ", readonly: true"):
        error = refused(top / "data", settings, more=more)
        assert error.code is ExitCode.POLICY
        flag = (error.hint or "").split("--allow-mount ")[1].split("`")[0]
        assert mounted(top / "data", settings, open_door(flag), more=more).nodes["a"].mounts


def test_a_folder_whose_name_only_begins_alike_is_another(top: Path, settings: Settings) -> None:
    (top / "database").mkdir()
    assert refused(top / "database", settings, Door(str(top / "data"))).code is ExitCode.POLICY


def test_the_innermost_permission_counts(top: Path, settings: Settings) -> None:
    (top / "data" / "models").mkdir(parents=True)
    doors = (Door(str(top / "data")), Door(str(top / "data" / "models"), read_only=True))
    granted = mounted(top / "data" / "models", settings, *doors)
    assert granted.nodes["a"].mounts[0].read_only
    assert "read-only" in granted.notices[0]
    assert not mounted(top / "data", settings, *doors).nodes["a"].mounts[0].read_only


def test_a_file_that_asks_for_reading_only_gets_no_more(top: Path, settings: Settings) -> None:
    (top / "data").mkdir()
    granted = mounted(top / "data", settings, Door(str(top / "data")), more=", readonly: true")
    assert granted.nodes["a"].mounts[0].read_only
    assert granted.notices == ()


def test_a_link_counts_for_what_it_leads_to_on_both_sides(top: Path, settings: Settings) -> None:
    (top / "real").mkdir()
    (top / "outside").mkdir()
    (top / "link").symlink_to(top / "real")
    (top / "real" / "way").symlink_to(top / "outside")
    assert mounted(top / "link", settings, Door(str(top / "real"))).nodes["a"].mounts[0].source == str(top / "real")
    assert mounted(top / "real", settings, Door(str(top / "link"))).nodes["a"].mounts[0].source == str(top / "real")
    error = refused(top / "real" / "way", settings, Door(str(top / "real")))
    assert (error.code, f"leads to `{top}/outside`" in error.message) == (ExitCode.POLICY, True)


@pytest.mark.parametrize("source", ["relative", "/a/../b", "..", "/a/..", "nfs-host:/export"])
def test_only_an_absolute_path_without_dots_is_granted(source: str, settings: Settings) -> None:
    assert refused(source, settings, Door("/")).code is ExitCode.POLICY


@pytest.mark.parametrize("place", ["store", "store/objects", ""])
def test_the_store_and_what_holds_it_are_never_granted(place: str, top: Path, settings: Settings) -> None:
    (top / "store" / "objects").mkdir(parents=True)
    error = refused(top / place, settings, Door(str(top)), Door(str(top / "store")))
    assert (error.code, "the store" in error.message) == (ExitCode.POLICY, True)


def test_an_engines_socket_is_never_granted_wherever_it_is(
    top: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "own").mkdir()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{top}/own/engine.sock")
    for place in ("own", "own/engine.sock"):
        error = refused(top / place, settings, Door(str(top / "own")), Door(str(top / place)))
        assert (error.code, "socket" in error.message) == (ExitCode.POLICY, True)


def test_what_is_sensitive_wants_its_own_permission(
    top: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = top / "home"
    (home / ".ssh" / "keys").mkdir(parents=True)
    (home / ".hidden").mkdir()
    (home / "data").mkdir()
    monkeypatch.setenv("HOME", str(home))
    wide = Door(str(top / "home"))
    assert refused(home / ".ssh", settings, wide).code is ExitCode.POLICY
    assert refused(home / ".ssh" / "keys", settings, wide, Door("/")).code is ExitCode.POLICY
    assert refused(home / ".hidden", settings, wide).code is ExitCode.POLICY
    assert refused(home, settings, Door("/")).code is ExitCode.POLICY
    assert mounted(home / "data", settings, wide).nodes["a"].mounts
    assert mounted(home / ".ssh" / "keys", settings, Door(str(home / ".ssh"))).nodes["a"].mounts
    assert mounted(home, settings, wide).nodes["a"].mounts


@pytest.mark.parametrize("more", [", type: nfs", ", options: {vers: 4}"])
def test_a_mount_that_is_more_than_a_folder_is_refused(more: str, top: Path, settings: Settings) -> None:
    assert refused(top, settings, Door(str(top)), more=more).code is ExitCode.SPEC


def test_only_folders_and_regular_files_are_shown(top: Path, settings: Settings) -> None:
    os.mkfifo(top / "pipe")
    assert refused(top / "pipe", settings, Door(str(top / "pipe"))).code is ExitCode.POLICY
    assert refused("/dev/null", settings, Door("/dev")).code is ExitCode.POLICY
    assert refused(top / "gone", settings, Door(str(top / "gone"))).code is ExitCode.INPUT


def test_a_name_that_moves_the_cursor_is_shown_escaped(top: Path, settings: Settings) -> None:
    name = '"/tmp/\\e[2J"'
    with pytest.raises(MlrunError) as caught:
        grant_plan(plan(f"mounts: [{{source: {name}, destination: /mnt/x}}]"), settings)
    assert "\x1b" not in caught.value.message + (caught.value.hint or "")


OURS = ("/valohai", "/valohai/outputs/x", "/inputs", "/proc/1", "/dev/shm", "/mnt/../proc", "//valohai/x", "///proc")


@pytest.mark.parametrize("target", OURS)
def test_nothing_is_laid_over_our_own_folders(target: str, top: Path, settings: Settings) -> None:
    given = Settings(store=settings.store, mounts=(Door(str(top)),))
    with pytest.raises(MlrunError, match="where nothing can be mounted") as caught:
        grant_plan(plan(f"mounts: ['/srv:{target}']"), given)
    assert caught.value.code is ExitCode.SPEC


def test_a_flag_of_docker_is_not_taken_for_a_part_of_the_path(top: Path, settings: Settings) -> None:
    with pytest.raises(MlrunError, match="a mount has no flags") as caught:
        grant_plan(plan("mounts: ['/srv:/mnt/x:ro']"), settings)
    assert (caught.value.code, "readonly: true" in str(caught.value.hint)) == (ExitCode.SPEC, True)


def test_slashes_too_many_change_nothing(top: Path, settings: Settings) -> None:
    data = top / "data"
    data.mkdir()
    given = Settings(store=settings.store, mounts=(Door(str(data)),))
    asked = plan(f"mounts: [{{source: '/{data}//', destination: '//mnt//x/'}}]")
    assert grant_plan(asked, given).nodes["a"].mounts == (HostMount(str(data), "/mnt/x", False),)


def test_the_users_secrets_are_never_granted(top: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(top / "config"))
    secrets = top / "config" / "mlrun" / "secrets"
    secrets.mkdir(parents=True)
    for place in (secrets, secrets.parent, top / "config"):
        error = refused(place, settings, Door(str(top)), Door(str(place)))
        assert (error.code, "your secrets" in error.message) == (ExitCode.POLICY, True)


def test_devices_are_granted_by_name_by_all_or_by_a_number(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grant_module, "shortage", lambda devices: None)
    asks = plan("resources: {devices: {nvidia.com/gpu: 2}}")
    for granting in (("all",), ("nvidia.com/gpu",)):
        given = Settings(store=settings.store, devices=granting)
        assert grant_plan(asks, given).nodes["a"].devices == {"nvidia.com/gpu": 2}
    assert grant_plan(asks, settings, gpus=1).nodes["a"].devices == {"nvidia.com/gpu": 1}
    assert grant_plan(asks, settings, gpus=0).nodes["a"].devices == {}
    assert grant_plan(plan("category: x"), settings, gpus=-1).nodes["a"].devices == {"nvidia.com/gpu": -1}
    with pytest.raises(MlrunError, match=r"asks for the device `nvidia\.com/gpu`") as caught:
        grant_plan(asks, Settings(store=settings.store, devices=("amd.com/gpu",)))
    assert caught.value.code is ExitCode.POLICY
    assert "`--gpus 2`" in (caught.value.hint or "")


def test_a_number_of_gpus_grants_no_other_device(settings: Settings) -> None:
    asks = plan("resources: {devices: {nvidia.com/gpu: 1, example.com/npu: 1}}")
    with pytest.raises(MlrunError, match=r"`example\.com/npu`"):
        grant_plan(asks, settings, gpus=0)


def test_only_who_lacks_gpus_is_told_to_go_without(settings: Settings) -> None:
    given = Settings(store=settings.store, devices=("all",))
    with pytest.raises(MlrunError, match=r"`example\.com/npu`") as caught:
        grant_plan(plan("resources: {devices: {example.com/npu: 1}}"), given)
    assert "--gpus" not in str(caught.value.hint)


def test_an_executor_that_cannot_keep_a_limit_says_so_in_one_sentence(settings: Settings) -> None:
    asks = plan("resources: {cpu: {max: 0.5}, memory: {max: 100}}")
    granted = grant_plan(asks, settings)
    assert list(unkept(asks, granted, "docker")) == []
    (said,) = unkept(asks, granted, "process")
    assert "0.5 CPUs are rounded up to 1; `/dev/shm` is that of the machine" in said


def recorded(**fields: Any) -> Job:
    return replace(Job("id", "a", "b", Script(("c",)), "0" * 64, {}, (), {}), **fields)


def test_a_recorded_mount_is_granted_once_more_and_not_wider_than_today(top: Path, settings: Settings) -> None:
    data = top / "data"
    data.mkdir()
    job = recorded(mounts=(HostMount(str(data), "/mnt/x", False),))

    with pytest.raises(MlrunError, match="which you have not allowed") as caught:
        grant_recorded(job, settings)
    assert (caught.value.code, caught.value.location) == (ExitCode.POLICY, None)
    assert f"--allow-mount {data}" in str(caught.value.hint)

    granted, notices = grant_recorded(job, replace(settings, mounts=(Door(str(data), read_only=True),)))
    assert granted.mounts == (HostMount(str(data), "/mnt/x", True),)
    assert len(notices) == 1


def test_a_record_opens_no_door_that_a_file_cannot(top: Path, settings: Settings) -> None:
    (top / "store").mkdir()
    (top / "link").symlink_to(top / "store")
    given = replace(settings, mounts=(Door(str(top)),))
    for mount in (
        HostMount(str(top / "store"), "/mnt/x", True),
        HostMount(str(top / "link"), "/mnt/x", True),
        HostMount("/dev", "/mnt/x", True),
        HostMount(str(top / "data" / ".." / "store"), "/mnt/x", True),
    ):
        with pytest.raises(MlrunError) as caught:
            grant_recorded(recorded(mounts=(mount,)), given)
        assert caught.value.code is ExitCode.POLICY


def test_recorded_devices_are_granted_once_more(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grant_module, "shortage", lambda devices: None)
    job = recorded(allowance=Allowance(devices={"nvidia.com/gpu": 2}))
    with pytest.raises(MlrunError, match="which you have not allowed") as caught:
        grant_recorded(job, settings)
    assert caught.value.code is ExitCode.POLICY
    assert "--allow-devices" in str(caught.value.hint)
    assert grant_recorded(job, replace(settings, devices=("all",)))[0].allowance == job.allowance


@pytest.mark.parametrize("network", Network)
def test_a_recorded_network_is_not_wider_than_the_users(network: Network, settings: Settings) -> None:
    order = [Network.NONE, Network.DEFAULT, Network.HOST]
    for given in order:
        job = recorded(network=network)
        if order.index(network) <= order.index(given):
            assert grant_recorded(job, replace(settings, network=given))[0] == job
        else:
            with pytest.raises(MlrunError, match="which you have not allowed") as caught:
                grant_recorded(job, replace(settings, network=given))
            assert caught.value.hint is not None
            assert f"--network {network}" in caught.value.hint
