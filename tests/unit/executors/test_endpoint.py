import hashlib
import json
import os
import socket

import pytest

from runner.executors.endpoint import Endpoint, endpoints, trouble


def urls(**environment):
    return [endpoint.url for endpoint in endpoints(environment)]


def test_an_address_that_the_user_names_is_the_only_one():
    assert urls(DOCKER_HOST="unix:///mine.sock", DOCKER_CONTEXT="other") == ["unix:///mine.sock"]


def test_the_standard_sockets_are_tried_in_order(tmp_path):
    assert urls(HOME=str(tmp_path)) == ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]
    assert urls(HOME=str(tmp_path), XDG_RUNTIME_DIR="/run/user/7") == [
        "unix:///var/run/docker.sock",
        "unix:///run/user/7/docker.sock",
        "unix:///run/user/7/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]


@pytest.fixture
def context(tmp_path):
    """A home whose `docker` command has a context `mine`."""
    meta = tmp_path / ".docker/contexts/meta" / hashlib.sha256(b"mine").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "mine", "Endpoints": {"docker": {"Host": "unix:///of/context.sock"}}}))
    return tmp_path


def test_the_current_context_of_the_docker_command_counts(context):
    assert "unix:///of/context.sock" not in urls(HOME=str(context))
    assert urls(HOME=str(context), DOCKER_CONTEXT="mine") == ["unix:///of/context.sock"]
    (context / ".docker/config.json").write_text('{"currentContext": "mine"}')
    assert urls(HOME=str(context)) == ["unix:///of/context.sock"]
    assert urls(HOME="/nowhere", DOCKER_CONFIG=str(context / ".docker")) == ["unix:///of/context.sock"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 3}', '{"currentContext": "gone"}', "null"])
def test_a_broken_configuration_of_the_docker_command_is_passed_over(tmp_path, text):
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(text)

    assert "unix:///var/run/docker.sock" in urls(HOME=str(tmp_path))


def test_each_trouble_with_a_socket_has_its_words(tmp_path):
    missing = trouble(Endpoint(f"unix://{tmp_path}/none"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/refused")
        refused = trouble(Endpoint(f"unix://{tmp_path}/refused"))
        server.listen()
        assert trouble(Endpoint(f"unix://{tmp_path}/refused")) is None
    (tmp_path / "file").write_text("")
    remote = trouble(Endpoint("ssh://me@elsewhere"))

    assert missing.missing
    assert f"`{tmp_path}/none`" in missing.sentence
    assert "connection refused" in refused.sentence
    assert not refused.missing
    assert trouble(Endpoint(f"unix://{tmp_path}/file")) is not None
    assert "another machine" in remote.sentence
    assert all(found.hint for found in (missing, refused, remote))


def test_a_socket_that_belongs_to_others_says_so(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may use every socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/denied")
        server.listen()
        (tmp_path / "denied").chmod(0)
        found = trouble(Endpoint(f"unix://{tmp_path}/denied"))

    assert "permission denied" in found.sentence
    assert "group" in found.hint or "-aG docker" in found.hint
