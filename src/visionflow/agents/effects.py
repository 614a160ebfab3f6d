"""Outside effects of agents: what `BaseAgent.effect` takes, raises, and can look for afterwards.

Each effect says what can be known of it after a crash between doing it and recording it: see
docs/effects.md. `WriteFile`, `UpdateRef` and `HttpCall` are ready to be used and know it of
themselves.
"""

import hashlib
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from visionflow.agents.base import PermanentFailure, TryLater
from visionflow.agents.outside import NOT_DONE, UNKNOWN, Done, Looked, OutsideEffect, Probed
from visionflow.agents.workspace.git import git
from visionflow.domain.errors import UsageError, VisionFlowError, WorkspaceError
from visionflow.domain.outside import EffectClass

__all__ = [
    "NOT_DONE",
    "UNKNOWN",
    "Done",
    "EffectAbandoned",
    "EffectClass",
    "EffectHeld",
    "EffectRefused",
    "HttpCall",
    "InDoubt",
    "Looked",
    "NotDone",
    "OutsideEffect",
    "UpdateRef",
    "WriteFile",
    "file_hash",
    "git_ref",
    "header_key",
]
if TYPE_CHECKING:
    from http.client import HTTPConnection

HELD_MS = 1_000
"""How long one waits that asks for what another task is at."""
RESPONSE_BYTES_MAX = 1_048_576
_TOKEN = re.compile(r"[!#-\[\]-~]{1,255}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotDone(VisionFlowError):
    """Raised by what carries out an effect: it certainly did not happen, and may be tried again."""

    code = "not_done"


class InDoubt(VisionFlowError):
    """Whether an effect happened cannot be known, so a person is asked. Let it pass: the task is
    blocked until they have said, and goes on from there."""

    code = "effect_in_doubt"

    def __init__(self, message: str, *, key: str) -> None:
        """`key`: of the effect."""
        super().__init__(message, hint=f"Look: visionflow effects show {key!r}.")
        self.key = key


class EffectAbandoned(PermanentFailure):
    """A person said that nobody is to go on with this effect."""

    code = "effect_abandoned"


class EffectHeld(TryLater):
    """Another task is at an effect with the same key; what it comes to is asked a moment later."""

    code = "effect_held"


class EffectRefused(PermanentFailure):
    """The ledger does not take it; the message says why."""

    code = "effect_refused"


# Files -----------------------------------------------------------------------------------------


def file_hash(path: str | Path, sha256: str) -> Callable[..., Probed]:
    """A probe: it happened when the file there has this content."""
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"{sha256!r:.80} is no SHA-256: that is 64 digits of 0-9 and a-f.")

    def probe(key: str, *args: Any) -> Probed:
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return NOT_DONE
        return Done() if found == sha256 else NOT_DONE

    return probe


class WriteFile:
    """A file that has this content, whole or not at all. Returns its SHA-256."""

    name = "write_file"
    kind = EffectClass.PROBEABLE

    def __init__(self, path: str | Path, data: bytes | str) -> None:
        """Text becomes UTF-8. The folder must be there."""
        self._path = Path(path).absolute()
        self._data = data.encode() if isinstance(data, str) else bytes(data)
        self._sha256 = hashlib.sha256(self._data).hexdigest()

    @property
    def about(self) -> str:
        """See `OutsideEffect`."""
        return f"write {len(self._data)} bytes to {self._path}"

    def identity(self) -> tuple[Any, ...]:
        """See `OutsideEffect`."""
        return str(self._path), self._sha256

    def carry_out(self, key: str) -> str:
        """See `OutsideEffect`. What a crash leaves half written is written over by the next try."""
        path = self._path
        part = path.with_name(f".{hashlib.sha256(key.encode()).hexdigest()[:16]}.part")
        with open(part, "wb") as file:
            file.write(self._data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._sha256

    def probe(self, key: str) -> Probed:
        """See `OutsideEffect`."""
        found = file_hash(self._path, self._sha256)(key)
        return Done(self._sha256) if isinstance(found, Done) else found


# Git -------------------------------------------------------------------------------------------


def git_ref(
    repository: str | Path, ref: str, commit: str, before: str | None = None
) -> Callable[..., Awaitable[Probed]]:
    """A probe: it happened when the ref points to the commit, or to one that came after it.

    It did not when the ref is still at `before` (`None`: not there); anything else is unknown.
    """
    place = _git_dir(repository)

    async def probe(key: str, *args: Any) -> Probed:
        found = await _commit_of(place, ref)
        if found is not None and (found == commit or await _holds(place, found, commit)):
            return Done()
        return NOT_DONE if found == before else UNKNOWN

    return probe


class UpdateRef:
    """A ref of a git repository that is moved from one commit to another. Hooks do not run."""

    name = "update_ref"
    kind = EffectClass.PROBEABLE

    def __init__(
        self, repository: str | Path, ref: str, commit: str, before: str | None = None
    ) -> None:
        """`ref` is whole (`refs/heads/main`), `commit` and `before` are full ids; `before`: where
        it is now, `None`: nowhere. Moved from anywhere else it stays as it is."""
        if not ref.startswith("refs/") or ref.endswith("/"):
            raise UsageError(f"{ref!r} is no whole name of a ref, such as refs/heads/main.")
        self._place, self._ref = _git_dir(repository), ref
        self._commit, self._before = commit, before

    @property
    def about(self) -> str:
        """See `OutsideEffect`."""
        return f"move {self._ref} of {self._place} to {self._commit}"

    def identity(self) -> tuple[Any, ...]:
        """See `OutsideEffect`."""
        return str(self._place), self._ref, self._commit, self._before

    async def carry_out(self, key: str) -> str:
        """See `OutsideEffect`. Git compares and sets: one of two that race comes through."""
        before = self._before or "0" * len(self._commit)
        try:
            await git(self._place, "update-ref", self._ref, self._commit, before)
        except WorkspaceError as error:
            found = await _commit_of(self._place, self._ref)
            if found == self._commit:
                return self._commit
            if found != self._before:
                raise NotDone(
                    f"{self._ref} of {self._place} is at {found or 'nothing'}, not at "
                    f"{self._before or 'nothing'}, so it was not moved."
                ) from error
            raise
        return self._commit

    async def probe(self, key: str) -> Probed:
        """See `OutsideEffect`."""
        looked = git_ref(self._place, self._ref, self._commit, self._before)
        found = await looked(key)
        return Done(self._commit) if isinstance(found, Done) else found


def _git_dir(repository: str | Path) -> Path:
    path = Path(repository).absolute()
    return path / ".git" if (path / ".git").is_dir() else path


async def _commit_of(place: Path, ref: str) -> str | None:
    words = ("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    printed = await git(place, *words, statuses=(0, 1))
    return printed.decode("ascii", "replace").strip() or None


async def _holds(place: Path, tip: str, commit: str) -> bool:
    """Whether a commit is there and an ancestor of another."""
    known = await git(place, "cat-file", "-t", commit, statuses=(0, 128))
    if known.strip() != b"commit":
        return False
    words = ("rev-list", "--max-count=1", commit, f"^{tip}")
    return not (await git(place, *words)).strip()


# HTTP ------------------------------------------------------------------------------------------


class HttpCall:
    """A request that carries its key as `Idempotency-Key`, so that it may be repeated.

    For servers that do nothing twice under one key; others are `in_doubt`. Returns a map with
    `status`, `content_type` and `body` (bytes; `None` above 1 MiB). Redirects are not followed.
    """

    name = "http_call"
    kind = EffectClass.IDEMPOTENT

    def __init__(
        self,
        method: str,
        url: str,
        body: bytes | str = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        key_header: str = "Idempotency-Key",
    ) -> None:
        """Neither headers nor the body nor what follows `?` is written down anywhere.

        Raises:
            UsageError: the URL is none of HTTP.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{parts.scheme or 'It'} is no URL of HTTP: it begins with https://.")
        self._method, self._url, self._parts = method.upper(), url, parts
        self._body = body.encode() if isinstance(body, str) else bytes(body)
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._key_header = key_header

    @property
    def about(self) -> str:
        """See `OutsideEffect`."""
        parts = self._parts
        port = "" if parts.port is None else f":{parts.port}"
        return f"{self._method} {parts.scheme}://{parts.hostname}{port}{parts.path or '/'}"

    def identity(self) -> tuple[Any, ...]:
        """See `OutsideEffect`."""
        return self._method, self._url, hashlib.sha256(self._body).hexdigest()

    def carry_out(self, key: str) -> dict[str, Any]:
        """See `OutsideEffect`.

        Raises:
            NotDone: nobody answers there, or the request was refused (4xx but 409).
            VisionFlowError: it cannot be known; it is repeated under its key.
        """
        from http.client import HTTPException

        connection = self._connect()
        try:
            target = self._parts.path or "/"
            if self._parts.query:
                target = f"{target}?{self._parts.query}"
            headers = {**self._headers, self._key_header: header_key(key)}
            connection.request(self._method, target, self._body or None, headers)
            answer = connection.getresponse()
            body = answer.read(RESPONSE_BYTES_MAX + 1)
            kind = answer.headers.get("Content-Type")
        except (OSError, HTTPException) as error:
            raise VisionFlowError(
                f"{self.about} broke off: {type(error).__name__}: {error}. Whether it was done is "
                "not known; it is repeated under its key."
            ) from error
        finally:
            connection.close()
        return self._judged(answer.status, kind, body)

    def _connect(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        parts = self._parts
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotDone(f"{self.about}: nobody answers there ({error}).") from error
        return connection

    def _judged(self, status: int, kind: str | None, body: bytes) -> dict[str, Any]:
        if status < 400:
            whole = len(body) <= RESPONSE_BYTES_MAX
            return {"status": status, "content_type": kind, "body": body if whole else None}
        if status >= 500 or status == HTTPStatus.CONFLICT:
            raise VisionFlowError(
                f"{self.about} was answered with {status}. Whether it was done is not known; it is "
                "repeated under its key."
            )
        raise NotDone(f"{self.about} was refused with {status}.")

    def probe(self, key: str) -> Probed:
        """See `OutsideEffect`. It is repeated instead."""
        return UNKNOWN


def header_key(key: str) -> str:
    """A key as a header can carry it: as it is where it may, else its SHA-256."""
    if _TOKEN.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
