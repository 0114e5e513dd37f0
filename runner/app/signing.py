"""The user's own key, with which documents are signed, and the signatures of others. The home of `cryptography`.

Ed25519 (RFC 8032). The private key lies in the user's folder of settings as PKCS #8 in PEM, without a password, mode
0600; it is never printed, recorded or exported. Public keys are PEM, too (SubjectPublicKeyInfo), as `openssl pkey` and
`cosign` read and write them.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ExitCode, MlrunError, usage_error, write_code
from runner.export.document import Document
from runner.export.dsse import Envelope, Signature
from runner.settings import settings_file
from runner.store.durable import create, make_folder, sync_folder, temporary_name, write_all

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_MOST_BYTES = 64 << 10
_MAKE = "`mlrun key make` makes one"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with. `pem` is its file's content, `id` the SHA-256 of its DER form."""

    pem: str
    id: str
    _key: "Ed25519PublicKey"

    def has_signed(self, envelope: Envelope) -> bool:
        """Whether one of the signatures is by this key, whatever they say whose they are."""
        return any(self._fits(one.value, envelope.signed()) for one in envelope.signatures)

    def _fits(self, signature: bytes, data: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The user's key pair."""

    public: PublicKey
    _key: "Ed25519PrivateKey"

    def sign(self, payload: bytes, payload_type: str) -> Envelope:
        """What is signed, in its envelope. The same bytes give the same signature."""
        unsigned = Envelope(payload, payload_type)
        return Envelope(payload, payload_type, (Signature(self.public.id, self._key.sign(unsigned.signed())),))


def key_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the private key is, beside the settings; it need not exist."""
    return settings_file(environment).parent / "keys" / "signing.pem"


def sealed(document: Document) -> bytes:
    """The bytes of a document as they leave this machine: in a signed envelope if it asks for that.

    Raises MlrunError: USAGE without a key or without `cryptography`, POLICY for a key that others can read.
    """
    if document.signed_as is None:
        return document.content
    return load_key().sign(document.content, document.signed_as).encode()


def make_key(environment: Mapping[str, str] = os.environ) -> OwnKey:
    """Make the user's key. Raises MlrunError (USAGE) when there is one, which is never replaced."""
    _library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = key_file(environment)
    data = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        make_folder(path.parent)
        _keep(path, data)
    except FileExistsError:
        raise usage_error(
            f"there is a key already: `{path}`",
            hint="`mlrun key show` prints its public part; who wants another one moves that file away",
        ) from None
    except OSError as error:
        raise MlrunError(f"cannot write `{path}`: {error.strerror}", code=write_code(error)) from error
    return load_key(environment)


def load_key(environment: Mapping[str, str] = os.environ) -> OwnKey:
    """The user's key. Raises MlrunError: USAGE when there is none or it is none, POLICY where others can read it."""
    _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = key_file(environment)
    try:
        key = serialization.load_pem_private_key(_read_private(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not the library's own words: they might quote the file.
        raise usage_error(f"`{path}` is no private key", hint=f"move it away, then {_MAKE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise usage_error(f"`{path}` is no key of Ed25519", hint=f"move it away, then {_MAKE}")
    return OwnKey(_public(key.public_key()), key)


def read_public_key(path: Path) -> PublicKey:
    """The public key in a file. Raises MlrunError (USAGE)."""
    _library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise usage_error(f"cannot read the key `{path}`: {error.strerror}") from error
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise usage_error(f"`{path}` is no public key of Ed25519", hint="`mlrun key show` prints one")
    return _public(key)


def _public(key: "Ed25519PublicKey") -> PublicKey:
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(pem.decode(), hashlib.sha256(der).hexdigest(), key)


def _read_private(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise usage_error("there is no key to sign with", hint=_MAKE) from None
    except OSError as error:
        raise usage_error(f"cannot read the key `{path}`: {error.strerror}") from error
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise usage_error(f"`{path}` is not a regular file", hint=f"move it away, then {_MAKE}")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise MlrunError(
                f"the key `{path}` can be read by others, or belongs to them",
                code=ExitCode.POLICY,
                hint=f"`chmod 600 {path}`, if nobody has read it; else move it away and make another one",
            )
        return file.read(_MOST_BYTES)


def _keep(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, and never over another one. Raises OSError."""
    temporary = path.parent / temporary_name()
    fd = create(temporary, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
        os.link(temporary, path)
    finally:
        os.close(fd)
        os.unlink(temporary)
    sync_folder(path.parent)


def _library() -> Any:
    """`cryptography`. Raises MlrunError (USAGE) where it is not installed."""
    try:
        import cryptography
    except ImportError as error:
        raise usage_error(
            "signatures need the package `cryptography`, which is not installed",
            hint="`pip install 'mlrun-yaml[sign]'`",
        ) from error
    return cryptography
