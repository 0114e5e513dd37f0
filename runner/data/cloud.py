"""Object stores: how `s3://`, `gs://` and `azure://` are opened, and what their libraries mean by their errors.

The only home of fsspec, which is loaded when used. Knows neither inputs nor stores.
"""

import importlib.util
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT = 30
_SHORT = 300


@dataclass(frozen=True, slots=True)
class Cloud:
    """An object store: `protocol` and `package` of fsspec, and where its credentials come from, in words."""

    protocol: str
    package: str
    extra: str
    credentials: str
    account_first: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    strangers: Mapping[str, Any] = field(default_factory=dict)
    """The options with which nobody's credentials are used: public data needs none."""


CLOUDS = {
    "s3": Cloud(
        "s3",
        "s3fs",
        "s3",
        "`AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY`, and the profile `{profile}` (`AWS_PROFILE`) of `~/.aws`",
        options={
            "config_kwargs": {
                "connect_timeout": _TIMEOUT,
                "read_timeout": _TIMEOUT,
                "retries": {"total_max_attempts": 1},
            }
        },
        strangers={"anon": True},
    ),
    "gs": Cloud(
        "gcs",
        "gcsfs",
        "gs",
        "`GOOGLE_APPLICATION_CREDENTIALS`, and the login of `gcloud auth application-default login`",
        strangers={"token": "anon"},
    ),
    "azure": Cloud(
        "abfs",
        "adlfs",
        "azure",
        "`AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, "
        "`AZURE_CLIENT_ID` with `AZURE_TENANT_ID` and `AZURE_CLIENT_SECRET`, and the login of `az login`",
        account_first=True,
        options={"anon": False},
        strangers={"anon": True},
    ),
}

_NO_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "DefaultCredentialsError",
        "ClientAuthenticationError",
    }
)
"""Names of the errors by which the clouds' own libraries say that they found nobody to be."""
_PASSING = ("ConnectionError", "TimeoutError", "HTTPClientError", "ServiceRequestError", "ClientConnectionError")


def is_installed(cloud: Cloud) -> bool:
    """Whether the library of an object store is here."""
    return importlib.util.find_spec(cloud.package) is not None


def open_system(cloud: Cloud, account: str, *, stranger: bool) -> Any:
    """The file system of fsspec; `account` is empty where there is none, a `stranger` shows no credentials.

    Raises whatever the libraries raise.
    """
    import fsspec  # type: ignore[import-untyped]  # heavy, and only installed with an extra

    # The libraries log what they raise, with tracebacks; without a handler it would go to the terminal.
    logging.getLogger(cloud.package).addHandler(logging.NullHandler())
    options = {**cloud.options, **(cloud.strangers if stranger else {})}
    if account:
        options["account_name"] = account
    system = fsspec.filesystem(cloud.protocol, skip_instance_cache=True, use_listings_cache=False, **options)
    if hasattr(system, "retries"):
        system.retries = 1  # who asks knows better what has arrived already
    return system


def lacks_credentials(error: Exception) -> bool:
    """Whether a library says that it found nobody to be."""
    return type(error).__name__ in _NO_CREDENTIALS


def is_passing(error: Exception) -> bool:
    """Whether it may go well the next time."""
    return isinstance(error, OSError) or any(kind.__name__.endswith(_PASSING) for kind in type(error).__mro__)


def looked_for(cloud: Cloud) -> str:
    """Where credentials were looked for, in words."""
    return cloud.credentials.format(profile=os.environ.get("AWS_PROFILE") or "default")


def first_words(error: Exception) -> str:
    """The first line of what a library says, not too long."""
    lines = str(error).strip().splitlines()
    return lines[0][:_SHORT] if lines else type(error).__name__
