"""What of a machine and its programs counts as changed."""

from typing import Any

import pytest

from runner.app.drift import Drift, host_drift, identity_drift

HOST: dict[str, Any] = {
    "hostname": "a",
    "kernel": "Linux 6.1",
    "processor": "X",
    "processors": 4,
    "memory": 1 << 30,
    "flags": ["avx", "avx2"],
    "gpu": [],
    "gpu_driver": None,
    "python": "CPython 3.11",
}


def test_the_same_machine_under_another_name_has_not_changed() -> None:
    assert not [*host_drift(HOST, {**HOST, "hostname": "b", "memory": 5, "python": "CPython 3.13"})]


@pytest.mark.parametrize(
    ("change", "drift"),
    [
        ({"kernel": "Linux 6.8"}, Drift("kernel", "Linux 6.1", "Linux 6.8")),
        ({"processors": 8}, Drift("processors", "4", "8")),
        ({"processor": "Y"}, Drift("processor", "X", "Y")),
        ({"flags": ["avx", "avx512f", "fma"]}, Drift("processor flags", "avx2", "avx512f fma")),
        ({"gpu": ["A100"]}, Drift("GPU", "", "A100")),
        ({"gpu_driver": "550.54"}, Drift("GPU driver", "", "550.54")),
    ],
)
def test_what_may_change_results_is_told(change: dict[str, Any], drift: Drift) -> None:
    assert [*host_drift(HOST, {**HOST, **change})] == [drift]


def test_what_a_record_does_not_know_has_not_changed() -> None:
    assert not [*host_drift({"kernel": "Linux 6.1"}, HOST)]


PROGRAMS: dict[str, Any] = {
    "id": "host:1",
    "interpreter": "/usr/bin/python3",
    "version": "3.11.2",
    "distributions": ["numpy==1.26", "pandas==2.0", "six==1.0"],
    "editable": ["/work/mine"],
    "system_packages": {"/var/lib/dpkg/status": "a" * 64},
    "platform": "Linux-6.1-x86_64-with-glibc2.36",
}


def told(**change: Any) -> list[Drift]:
    return [*identity_drift(PROGRAMS, {**PROGRAMS, "id": "host:2", **change})]


def test_programs_of_the_same_id_have_not_changed() -> None:
    assert not [*identity_drift(PROGRAMS, {**PROGRAMS, "engine": "another"})]


def test_packages_are_told_one_by_one() -> None:
    assert told(distributions=["numpy==2.0", "six==1.0", "torch==2.4"]) == [
        Drift("package `numpy`", "1.26", "2.0"),
        Drift("package `pandas`", "2.0", ""),
        Drift("package `torch`", "", "2.4"),
    ]
    assert told(editable=[]) == [Drift("editable package `/work/mine`", "/work/mine", "")]
    assert told(system_packages={"/var/lib/dpkg/status": "b" * 64}) == [
        Drift("packages in `/var/lib/dpkg/status`", "a" * 16, "b" * 16)
    ]


def test_of_a_platform_the_kernel_is_the_machines() -> None:
    assert told(platform="Linux-6.8-x86_64-with-glibc2.39") == [Drift("platform", "glibc2.36", "glibc2.39")]
    changed = told(platform="Linux-6.8-x86_64-with-glibc2.36")
    assert changed == [Drift("files of an editable package (`/work/mine`)", "host:1", "host:2")]


@pytest.mark.parametrize("other", [None, 5, "numpy", {"a": 1}, [["x"], None]])
def test_a_record_from_elsewhere_may_hold_anything(other: Any) -> None:
    strange = {"id": "host:3", **dict.fromkeys(PROGRAMS.keys() - {"id"}, other)}
    for before, after in ((PROGRAMS, strange), (strange, PROGRAMS), (strange, {**strange, "id": "host:4"})):
        assert all(isinstance(one, Drift) for one in identity_drift(before, after))
        assert [*identity_drift(before, after)]


def test_where_all_names_and_versions_are_the_same_it_is_said_what_must_have_changed() -> None:
    plain = {key: value for key, value in PROGRAMS.items() if key != "editable"}
    before, after = {**plain, "id": "host:" + "a" * 64}, {**plain, "id": "host:" + "b" * 64}
    (drift,) = identity_drift(before, after)
    assert drift == Drift("files of a package, its version is the same", "host:" + "a" * 16, "host:" + "b" * 16)
    assert [*identity_drift({"id": "sha256:1"}, {"id": "sha256:2"})] == [Drift("programs", "sha256:1", "sha256:2")]
