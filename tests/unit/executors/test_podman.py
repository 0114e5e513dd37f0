import pytest

from runner.executors.podman import differences, is_rootless


def said(**info: object) -> str:
    return "\n".join(differences(info))


def test_a_lack_of_memory_is_named_where_podman_does_not_tell_it() -> None:
    assert "lack of memory" in said(CgroupVersion="1")
    assert "lack of memory" not in said(CgroupVersion="2")


def test_what_a_rootless_podman_cannot_bound_is_named() -> None:
    rootless = {"SecurityOptions": ["name=seccomp", "name=rootless"], "CgroupVersion": "2"}
    assert "cannot bound memory, CPUs here" in said(**rootless, MemoryLimit=False, CpuCfsQuota=False, CPUSet=True)
    assert "cannot bound" not in said(**rootless, MemoryLimit=True)
    assert "rootless" not in said(SecurityOptions=None)


@pytest.mark.parametrize("info", [{"Rootless": True, "SecurityOptions": []}, {"SecurityOptions": ["name=rootless"]}])
def test_docker_and_podman_tell_that_they_are_rootless_each_in_its_way(info: dict[str, object]) -> None:
    assert is_rootless(info)
    assert not is_rootless({**info, "Rootless": False, "SecurityOptions": None})
