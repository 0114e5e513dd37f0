"""Inputs from object stores: `s3://`, `gs://` and `azure://`.

A key may hold wildcards: `*` within one level, `**` across levels. What arrived is not fetched again while the store
says the same of it; a broken download is gone on with.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from runner.crew import side_by_side
from runner.data.cloud import (
    CLOUDS,
    Cloud,
    first_words,
    is_installed,
    is_passing,
    lacks_credentials,
    looked_for,
    open_system,
)
from runner.data.download import Download, PassingFault, Version, try_again
from runner.data.means import Means, Want
from runner.digest import Digest
from runner.errors import MlrunError
from runner.job import InputFile
from runner.plan.address import scheme
from runner.plan.match import place_files

_PIECE = 16 << 20
MOST_FILES = 100_000
"""Files of one source; more are hardly meant."""


def check(want: Want, means: Means) -> None:
    """Refuse an address without a file, and a cloud whose library is not installed. Raises MlrunError (INPUT)."""
    cloud = CLOUDS[scheme(want.uri)]
    _address(want, cloud)
    if not is_installed(cloud):
        raise want.refused(
            f"`{want.shown}` needs the package `{cloud.package}`, which is not installed",
            f"`pip install 'mlrun-yaml[{cloud.extra}]'`, or a local file takes its place: {want.instead}",
        )


def fetch(want: Want, means: Means) -> tuple[InputFile, ...]:
    """Download what the address names, several files at a time. Raises MlrunError (INPUT, DISK, STORE)."""
    check(want, means)
    files = _Bucket(want, means).fetch()
    return place_files(want.declared, files, _address(want, CLOUDS[scheme(want.uri)])[2])


def match(pattern: str, key: str) -> bool:
    """Whether a key has the form of `pattern`. Pure."""
    return _regex(pattern).fullmatch(key) is not None


def _regex(pattern: str) -> re.Pattern[str]:
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    return re.compile("".join(signs.get(part) or re.escape(part) for part in parts), re.DOTALL)


def _address(want: Want, cloud: Cloud) -> tuple[str, str, str]:
    """Account (empty where there is none), bucket and key."""
    text = want.uri.partition("://")[2]
    account, text = text.partition("/")[::2] if cloud.account_first else ("", text)
    bucket, _, key = text.partition("/")
    if not bucket or not key or (cloud.account_first and not account):
        form = "ACCOUNT/CONTAINER/BLOB" if cloud.account_first else "BUCKET/KEY"
        raise want.refused(f"`{want.shown}` names no file", f"its form is `{scheme(want.uri)}://{form}`")
    if "*" in bucket + account:
        raise want.refused(f"`{want.shown}` has a wildcard before its first folder", "name the bucket")
    return account, bucket, key


class _Bucket:
    """One source in one bucket."""

    def __init__(self, want: Want, means: Means) -> None:
        self._want = want
        self._means = means
        self._cloud = CLOUDS[scheme(want.uri)]
        self._account, self._bucket, self._key = _address(want, self._cloud)
        self._root = f"{scheme(want.uri)}://" + (f"{self._account}/" if self._account else "") + self._bucket
        self._stranger = False
        self._system = self._open()

    def fetch(self) -> tuple[InputFile, ...]:
        """All files that the key means, in the order of their keys."""
        try:
            found = self._asked(self._find)
        except PassingFault as fault:
            raise self._failed(fault.why) from fault
        if not found:
            what = "matches nothing" if "*" in self._key else "does not exist"
            raise self._want.refused(f"`{self._want.shown}` {what}")
        stored: dict[str, InputFile] = {}

        def get(item: tuple[str, Version]) -> None:
            stored[item[0]] = self._get(*item)

        side_by_side(get, sorted(found.items()))
        return tuple(stored[key] for key in sorted(stored))

    def _open(self) -> Any:
        try:
            return open_system(self._cloud, self._account, stranger=self._stranger)
        except Exception as error:
            raise self._translated(error) from error

    def _find(self) -> dict[str, Version]:
        """The keys that are meant, and what the store says of each."""
        found: dict[str, Version] = {}
        for path, about in self._walk(self._bucket, self._key.split("/")):
            found[path.removeprefix(f"{self._bucket}/")] = _version(about)
            if len(found) > MOST_FILES:
                raise self._want.refused(f"`{self._want.shown}` means more than {MOST_FILES:,} files")
        return found

    def _walk(self, folder: str, parts: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """What `parts` mean below `folder`; only folders that can hold something of it are listed."""
        part, *rest = parts
        if "**" in part:
            pattern = _regex("/".join(parts))
            for path, about in self._system.find(folder, detail=True).items():
                if pattern.fullmatch(path.removeprefix(f"{folder}/")):
                    yield path, about
        elif "*" not in part and rest:
            yield from self._walk(f"{folder}/{part}", rest)
        elif "*" not in part:
            yield from self._one(f"{folder}/{part}")
        else:
            yield from self._level(folder, part, rest)

    def _level(self, folder: str, part: str, rest: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            listed = self._system.ls(folder, detail=True)
        except FileNotFoundError:
            return
        for about in listed:
            path = str(about["name"]).rstrip("/")
            if not match(part, path.rpartition("/")[2]):
                continue
            if rest and about["type"] == "directory":
                yield from self._walk(path, rest)
            elif not rest and about["type"] == "file":
                yield path, about

    def _one(self, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            about = self._system.info(path)
        except FileNotFoundError:
            return
        if about["type"] != "file":
            whole = self._want.shown.rstrip("/")
            raise self._want.refused(f"`{self._want.shown}` is a folder", f"all files in it: `{whole}/**`")
        yield path, about

    def _get(self, key: str, version: Version) -> InputFile:
        """One file, from the store or from what is here."""
        uri = f"{self._root}/{key}"
        place = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        with Download(f"{place} {uri}", uri, self._means) as download:
            try:
                digest, size = try_again(
                    lambda: self._asked(lambda: self._attempt(key, version, download)), lambda: download.offset
                )
            except PassingFault as fault:
                raise self._failed(fault.why, uri) from fault
        return InputFile(key, digest, size, uri)

    def _attempt(self, key: str, version: Version, download: Download) -> tuple[Digest, int]:
        landed = download.landed()
        if landed is not None and version.tells and landed.version == version:
            return landed.digest, landed.size
        path, size = f"{self._bucket}/{key}", version.size or 0
        if download.version != version:
            download.begin(version)
        while download.offset < size:
            piece = self._system.cat_file(path, start=download.offset, end=min(size, download.offset + _PIECE))
            if not piece:
                raise PassingFault(f"{download.offset:,} of {size:,} bytes arrived")
            download.append(piece)
        if _version(self._system.info(path)) != version:
            download.forget_part()
            raise self._want.refused(f"`{self._root}/{key}` was changed while it was downloaded", "run it again")
        return download.land()

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives. Who has no credentials asks as a stranger. Raises MlrunError or PassingFault."""
        try:
            return ask()
        except (MlrunError, PassingFault):
            raise
        except Exception as error:
            if not self._stranger and lacks_credentials(error):
                self._stranger = True
                self._system = self._open()
                return self._asked(ask)
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> MlrunError | PassingFault:
        if isinstance(error, FileNotFoundError):
            return self._want.refused(f"`{self._want.shown}` does not exist: {first_words(error)}")
        if isinstance(error, PermissionError) or lacks_credentials(error):
            nobody = self._stranger or lacks_credentials(error)
            why = "no credentials were found" if nobody else first_words(error)
            return self._want.refused(
                f"cannot read `{self._want.shown}`: {why}",
                f"looked for: {looked_for(self._cloud)}; or a local file takes its place: {self._want.instead}",
            )
        return PassingFault(first_words(error)) if is_passing(error) else self._failed(first_words(error))

    def _failed(self, why: str, uri: str | None = None) -> MlrunError:
        return self._want.refused(f"cannot download `{uri or self._want.shown}`: {why}")


def _version(about: Mapping[str, Any]) -> Version:
    """What a store says of a file. The clouds name the same things differently."""
    etag = about.get("ETag") or about.get("etag")
    modified = about.get("LastModified") or about.get("updated") or about.get("last_modified")
    if isinstance(modified, datetime):
        modified = modified.astimezone(UTC).isoformat()
    size = about.get("size")
    strong = str(etag or modified or "") or None
    return Version(str(etag) if etag else None, None if etag else modified and str(modified), size, strong)
