"""The user's settings."""

from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors import EXECUTORS
from runner.job import Network
from runner.settings import (
    EXECUTOR_NAMES,
    Door,
    Settings,
    cache_folder,
    load_settings,
    open_door,
    parse_age,
    parse_count,
    parse_size,
)


def written(tmp_path: Path, text: str, **environment: str) -> Settings:
    (tmp_path / "config" / "mlrun").mkdir(parents=True)
    (tmp_path / "config" / "mlrun" / "settings.toml").write_text(text, encoding="utf-8")
    return load_settings({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), **environment})


def test_without_a_file_everything_has_a_default_below_home(tmp_path: Path) -> None:
    assert load_settings({"HOME": str(tmp_path)}) == Settings(tmp_path / ".local" / "share" / "mlrun")


def test_a_base_folder_that_is_no_folder_holds_no_settings() -> None:
    assert load_settings({"XDG_CONFIG_HOME": "/dev/null", "MLRUN_STORE": "/s"}) == Settings(Path("/s"))


def test_a_file_sets_everything(tmp_path: Path) -> None:
    text = 'store = "/s"\nexecutor = "sandbox"\nnetwork = "none"\njobs = 3\ngrace = 0.5\n'
    assert written(tmp_path, text) == Settings(Path("/s"), "sandbox", Network.NONE, 3, 0.5)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = written(tmp_path, 'store = "/s"\nexecutor = "docker"\n', MLRUN_STORE="/e", MLRUN_EXECUTOR="process")
    assert (settings.store, settings.executor) == (Path("/e"), "process")


def test_a_relative_base_folder_is_ignored_as_the_standard_asks(tmp_path: Path) -> None:
    settings = load_settings({"HOME": str(tmp_path), "XDG_DATA_HOME": "data"})
    assert settings.store == tmp_path / ".local" / "share" / "mlrun"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = ", "Invalid value"),
        ("jobz = 1", "there is no setting `jobz`"),
        ('executor = "dockr"', "there is no executor `dockr`"),
        ('network = "bridge"', "there is no network `bridge`"),
        ("jobs = -1", "`jobs` must be a number"),
        ("grace = true", "`grace` must be a number"),
        ('jobs = "2"', "`jobs` must be a number"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MlrunError, match=message) as caught:
        written(tmp_path, text)
    assert caught.value.code is ExitCode.USAGE


def test_the_settings_name_every_executor_there_is() -> None:
    assert set(EXECUTOR_NAMES) == {"auto", *EXECUTORS}


def test_who_has_no_home_needs_only_a_place_for_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", no_home)

    assert load_settings({"MLRUN_STORE": "/s", "MLRUN_EXECUTOR": "process"}) == Settings(Path("/s"), "process")
    with pytest.raises(MlrunError, match="there is no home folder") as caught:
        load_settings({})
    assert caught.value.code is ExitCode.USAGE


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_cache_folder_is_never_in_a_home_that_is_not_there(tmp_path):
    assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "mlrun"
    assert cache_folder({"HOME": str(tmp_path / "gone")}) is None
    assert cache_folder({"HOME": str(tmp_path / "gone"), "XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "mlrun"


def test_host_folders_and_devices_are_granted_one_by_one_or_all(tmp_path: Path) -> None:
    text = 'mounts = ["/data", "/models:ro", "/a:b"]\ndevices = "all"\nshm = "8 GiB"\n'
    settings = written(tmp_path, text, MLRUN_STORE="/s")
    assert settings.mounts == (Door("/data"), Door("/models", read_only=True), Door("/a:b"))
    assert (settings.devices, settings.shm) == (("all",), 8 << 30)


def test_a_folder_to_open_may_be_relative_or_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert open_door("./data/../x:ro") == Door(f"{tmp_path}/x", read_only=True)
    assert open_door("~/data") == Door("/home/me/data")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mounts = 3", "`mounts` must be a list of texts"),
        ("mounts = [3]", "`mounts` must be a list of texts"),
        ('mounts = [":ro"]', "is not a folder to mount"),
        ('mounts = [""]', "is not a folder to mount"),
        ("devices = true", "`devices` must be a list of texts"),
        ('shm = "lots"', "`lots` is not a size"),
        ("shm = 0", "`0` is not a size"),
        ("shm = -5", "`-5` is not a size"),
        ("shm = true", "`True` is not a size"),
    ],
)
def test_a_wrong_grant_is_refused_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MlrunError, match=r"settings\.toml: ") as caught:
        written(tmp_path, text, MLRUN_STORE="/s")
    assert said in caught.value.message
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 << 20), ("1.5 GiB", 3 << 29), (64, 64), ("64", 64), ("2kb", 2048), ("1t", 1 << 40)],
)
def test_a_size_is_bytes_or_has_a_unit(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "size"), [('"0"', 0), ("0", 0), ('"2G"', 2 << 30), ("4096", 4096)])
def test_the_reserve_of_the_disk_is_a_size_or_nothing(tmp_path: Path, text: str, size: int) -> None:
    assert written(tmp_path, f"reserve = {text}\n").reserve == size


def test_a_reserve_that_is_no_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="is not a size"):
        written(tmp_path, 'reserve = "some"\n')


def test_what_counts_of_a_python_file_is_its_syntax_unless_the_file_says_bytes(tmp_path: Path) -> None:
    assert Settings(Path("/s")).code_key == "syntax"
    assert written(tmp_path, 'code-key = "bytes"\n').code_key == "bytes"


@pytest.mark.parametrize("word", ["remotes", "all", "none"])
def test_what_was_pulled_may_be_reused_from_remotes_from_anywhere_or_not_at_all(tmp_path: Path, word: str) -> None:
    assert Settings(Path("/s")).reuse_pulled == "remotes"
    assert written(tmp_path, f'reuse-pulled = "{word}"\n').reuse_pulled == word


def test_to_reuse_what_was_pulled_is_said_in_a_word(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="`reuse-pulled` cannot be `False`"):
        written(tmp_path, "reuse-pulled = false\n")


def test_a_code_key_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="there is no code key `tree`") as caught:
        written(tmp_path, 'code-key = "tree"\n')
    assert caught.value.code is ExitCode.USAGE


def test_a_file_sets_what_the_store_keeps_and_may_have(tmp_path: Path) -> None:
    settings = written(tmp_path, 'quota = "50G"\nkeep-last = 3\nkeep-within = "30d"\nstore = "/s"\n')
    assert settings == Settings(Path("/s"), quota=50 << 30, keep_last=3, keep_within=30 * 86400.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("12h", 43200), ("30d", 2592000), ("2 weeks", 1209600), ("1.5 D", 129600), ("0s", 0)]
)
def test_an_age_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "1 month", "1m", "-3d", "1d 2h", "d", "1e9d", "٣d", "9999999d", True, 30])
def test_an_age_that_may_mean_something_else_is_refused(text: object) -> None:
    with pytest.raises(MlrunError, match="is not an age"):
        parse_age(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "ten", "1_0", "٣", "9999999999", True, None, 1.5])
def test_a_number_of_executions_is_whole_and_not_negative(text: object) -> None:
    assert parse_count("0") == 0 and parse_count(" 12 ") == 12
    with pytest.raises(MlrunError, match="is not a number of executions"):
        parse_count(text)


def test_a_file_names_remote_stores(tmp_path: Path) -> None:
    text = '[remotes]\ndefault = "lab"\nlab = "ssh://lab/srv"\n'
    assert written(tmp_path, text).remotes == {"default": "lab", "lab": "ssh://lab/srv"}


@pytest.mark.parametrize("text", ['remotes = "ssh://lab"', "[remotes]\nlab = 5", '[remotes]\nlab = ""'])
def test_a_remote_store_is_a_text_with_a_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(MlrunError, match="`remotes` must be a table of texts"):
        written(tmp_path, text)


def test_what_runs_share_and_how_often_they_try_again_are_settings(tmp_path: Path) -> None:
    text = 'cpus = 1.5\nmemory = "2G"\nretries = 0\nretry-delay = 0.5\n[pools]\ngpu = 2\n"a b" = 1\n'
    settings = written(tmp_path, text)
    assert (settings.cpus, settings.memory, dict(settings.pools)) == (1.5, 2 << 30, {"gpu": 2, "a b": 1})
    assert (settings.retries, settings.retry_delay) == (0, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpus = 0", "`0` is not a number of processors"),
        ("cpus = true", "`True` is not a number of processors"),
        ('cpus = "2"', "`2` is not a number of processors"),
        ("cpus = nan", "`nan` is not a number of processors"),
        ("memory = 0", "`0` is not a size"),
        ("retries = -1", "`retries` cannot be `-1`"),
        ("retries = 101", "`retries` cannot be `101`"),
        ("retries = 1.5", "`retries` cannot be `1.5`"),
        ("retry-delay = -1", "`retry-delay` must be a number"),
        ("pools = 1", "`pools` must be a table of numbers"),
        ("pools = [1]", "`pools` must be a table of numbers"),
        ("[pools]\ngpu = 0", "the pool `gpu` cannot have `0` places"),
        ("[pools]\ngpu = true", "the pool `gpu` cannot have `True` places"),
        ('[pools]\ngpu = "2"', "the pool `gpu` cannot have `2` places"),
        ("[pools]\ngpu = 10001", "the pool `gpu` cannot have `10001` places"),
        ("[pools.gpu]\nsize = 1", "the pool `gpu` cannot have"),
    ],
)
def test_what_cannot_be_shared_or_tried_is_a_usage_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MlrunError, match=message) as caught:
        written(tmp_path, text)
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint
    assert str(tmp_path) in caught.value.message
