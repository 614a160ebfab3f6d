"""Bearer tokens: made, looked up, revoked. Their file has hashes only.

A token is `vf_<id>_<secret>`. The secret has 256 random bits, so a plain SHA-256 of it cannot be
searched; a slow hash would only slow us. The file is replaced as a whole under a lock and read
again when it changed, so that a revoked token stops working at once. What a token may do is
`domain.access`'; counting failures is `gate`'s.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from visionflow.domain.access import Role
from visionflow.domain.errors import ConfigError, Refused, Unauthenticated, UnknownId

FILE = "tokens.json"
PREFIX = "vf"
TOKEN_CHARS_MAX = 200
NAME_CHARS_MAX = 64
TOKENS_MAX = 1_000
_ID_BYTES, _SECRET_BYTES = 5, 32
_NOBODY = hashlib.sha256(b"no token has this hash").hexdigest()


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a token."""

    id: str
    name: str
    role: Role
    hash: str
    """SHA-256 of the secret, in hex."""
    created_ms: int
    expires_ms: int | None = None

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tokens: tuple[Token, ...]
    version: int = 1


def wall_ms() -> int:
    """The time of day, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Tokens:
    """The tokens of one VISIONFLOW_HOME. Several processes may use it at once."""

    def __init__(self, home: str | Path, now_ms: Callable[[], int] = wall_ms) -> None:
        """Nothing is read yet, and a file need not exist."""
        self.path = Path(home).absolute() / FILE
        self._now_ms = now_ms
        self._seen: tuple[int, ...] | None = None
        self._tokens: dict[str, Token] = {}
        self._fault: ConfigError | None = None

    def all(self) -> list[Token]:
        """All of them, expired ones too, in the order they were made.

        Raises:
            ConfigError: the file cannot be trusted or understood.
        """
        self._look()
        if self._fault is not None:
            raise self._fault
        return list(self._tokens.values())

    def valid(self) -> list[Token]:
        """Those that open something now.

        Raises:
            ConfigError: see `all`.
        """
        now_ms = self._now_ms()
        return [token for token in self.all() if not token.expired(now_ms)]

    def check(self, text: str) -> Token:
        """The token that this text is.

        Raises:
            Unauthenticated: it is unknown, revoked or expired, or nothing can be told because
                the file has a fault; then no token works.
        """
        self._look()
        if self._fault is not None:
            raise Unauthenticated(
                "No token is accepted: the server's file of tokens has a fault.",
                hint="Whoever runs the server finds it with `visionflow token list`.",
            )
        prefix, _, rest = text[:TOKEN_CHARS_MAX].partition("_")
        identity, _, secret = rest.partition("_")
        found = self._tokens.get(identity)
        # Compared in any case, so that time does not tell whether there is such an id.
        same = hmac.compare_digest(_hash(secret), _NOBODY if found is None else found.hash)
        if found is None or not same or prefix != PREFIX or len(text) > TOKEN_CHARS_MAX:
            raise Unauthenticated(
                "This token is not known here: it is mistyped, of another server, or revoked.",
                hint="Make one with `visionflow token create NAME --role operator`.",
            )
        return self._unexpired(found)

    def still(self, identity: str) -> Token:
        """The token of this id, which was checked before, if it still is one.

        Raises:
            Unauthenticated: it was revoked meanwhile, or has expired.
        """
        self._look()
        found = self._tokens.get(identity)
        if found is None or self._fault is not None:
            raise Unauthenticated(
                "The token of this connection was revoked.",
                hint="Make one with `visionflow token create NAME --role operator`.",
            )
        return self._unexpired(found)

    def _unexpired(self, token: Token) -> Token:
        if token.expired(self._now_ms()):
            raise Unauthenticated(
                f"The token {token.name} has expired.",
                hint=f"Make another: visionflow token create {token.name} --role {token.role}.",
            )
        return token

    def create(self, name: str, role: Role, expires_ms: int | None = None) -> tuple[Token, str]:
        """A new token, and its text, which is not kept anywhere. `expires_ms`: after now.

        Raises:
            Refused: there is a token of this name, or there are too many.
            ConfigError: see `all`; or the file cannot be written.
        """
        identity, secret = _word(_ID_BYTES), _word(_SECRET_BYTES)
        now_ms = self._now_ms()
        token = Token(
            id=identity,
            name=name,
            role=role,
            hash=_hash(secret),
            created_ms=now_ms,
            expires_ms=None if expires_ms is None else now_ms + expires_ms,
        )
        with self._writing() as tokens:
            if any(each.name == name and not each.expired(now_ms) for each in tokens):
                raise Refused(
                    f"There is a token {name} already.",
                    code="name_taken",
                    hint=f"Take another name, or `visionflow token revoke {name}` first.",
                )
            if len(tokens) >= TOKENS_MAX:
                raise Refused(
                    f"There are {len(tokens)} tokens, which is the most there can be.",
                    code="limit_reached",
                    hint="Revoke those that have expired: visionflow token list.",
                )
            # A name stands for one token: an expired one makes room for its successor.
            kept = [each for each in tokens if each.name != name]
            self._write([*kept, token])
        return token, f"{PREFIX}_{identity}_{secret}"

    def revoke(self, name: str) -> Token:
        """Take a token away, by name or id; returns what it was.

        Raises:
            UnknownId: there is none.
            ConfigError: see `all`; or the file cannot be written.
        """
        with self._writing() as tokens:
            found = next((each for each in tokens if name in (each.name, each.id)), None)
            if found is None:
                raise UnknownId(
                    f"There is no token {name!r}.", hint="`visionflow token list` has them all."
                )
            self._write([each for each in tokens if each is not found])
        return found

    # The file ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the file again if it is another one than before."""
        try:
            now = os.stat(self.path)
            seen = (now.st_ino, now.st_mtime_ns, now.st_size, now.st_mode, now.st_uid)
        except FileNotFoundError:
            seen = ()
        except OSError as error:
            self._tokens, self._seen = {}, None
            self._fault = ConfigError(f"The file {self.path} cannot be read: {error}.")
            return
        if seen == self._seen:
            return
        self._seen, self._fault = seen, None
        try:
            self._tokens = {token.id: token for token in self._read()}
        except ConfigError as error:
            self._tokens, self._fault = {}, error

    def _read(self) -> tuple[Token, ...]:
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                content = file.read()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigError(f"The file {self.path} cannot be read: {error}.") from error
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o022:
            raise ConfigError(
                f"The file {self.path} could have been written by somebody else.",
                hint=f"Look at it; then `chown` it to yourself and `chmod 600 {self.path}`.",
            )
        try:
            return msgspec.json.decode(content, type=_File).tokens
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"The file {self.path} is not what `visionflow token` writes: {error}.",
                hint="Take it back from a backup, or remove it and make new tokens.",
            ) from error

    @contextmanager
    def _writing(self) -> Generator[tuple[Token, ...]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(
                self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be changed: {error}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()
        finally:
            os.close(lock)

    def _write(self, tokens: list[Token]) -> None:
        """Replace the file: whoever reads finds the old one or the new one, whole."""
        temporary = self.path.with_suffix(".new")
        content = msgspec.json.format(msgspec.json.encode(_File(tokens=tuple(tokens))), indent=1)
        try:
            with suppress(FileNotFoundError):
                temporary.unlink()
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error}.") from error
        self._seen = None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _word(count: int) -> str:
    """So many random bytes as small letters and digits, which one click selects."""
    return base64.b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()
