"""The one tree of errors.

Every error has a stable `code` word that clients may match on, and a message that says what
happened, why, and what to do. `status` is the process exit code of a command that ends with it;
the numbers follow sysexits where one fits.
"""

from collections.abc import Mapping
from typing import ClassVar

from visionflow.domain.limits import INBOX_FULL_RETRY_MS


class VisionFlowError(Exception):
    """Something VisionFlow knows about went wrong."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} {self.hint}"


class Refused(VisionFlowError):
    """The request was understood and not accepted; nothing changed."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 69

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        retry_after_ms: int | None = None,
        ids: Mapping[str, str] | None = None,
    ) -> None:
        """`ids`: whom it concerns, as faces name it: `{"agentId": ...}`."""
        super().__init__(message, hint=hint)
        self.reason = code or self.code
        self.retry_after_ms = retry_after_ms
        self.ids = dict(ids or {})


class LimitReached(Refused):
    """A bound is reached; `retry_after_ms` says when to ask again, `None` if waiting is no use."""

    code: ClassVar[str] = "limit_reached"


class MailboxFull(LimitReached):
    """More commands wait than the mailbox holds; none of this call was taken."""

    code: ClassVar[str] = "mailbox_full"


class InboxFull(LimitReached):
    """More messages wait for an agent than its inbox holds; this one was not sent."""

    code: ClassVar[str] = "inbox_full"
    status: ClassVar[int] = 75

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        retry_after_ms: int | None = INBOX_FULL_RETRY_MS,
        ids: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, retry_after_ms=retry_after_ms, ids=ids)


class NotPersistable(Refused):
    """A value cannot be written to the log, so the work was refused before it began."""

    code: ClassVar[str] = "not_persistable"


class KeyReused(Refused):
    """The idempotency key belongs to another call: another tool, or other arguments."""

    code: ClassVar[str] = "key_reused"
    status: ClassVar[int] = 65


class UnknownId(Refused):
    """No agent, task or run has this id."""

    code: ClassVar[str] = "unknown_id"


class UnknownSwarm(UnknownId):
    """No swarm has this id."""

    code: ClassVar[str] = "unknown_swarm"


class UnknownAgent(UnknownId):
    """No agent has this id or name."""

    code: ClassVar[str] = "unknown_agent"


class UnknownTask(UnknownId):
    """No task has this id."""

    code: ClassVar[str] = "unknown_task"


class UnknownTool(Refused):
    """No tool has this name."""

    code: ClassVar[str] = "unknown_tool"


class NotBuilt(Refused):
    """This part of VisionFlow does not exist yet; nothing stands in for it."""

    code: ClassVar[str] = "not_built"


class Unauthenticated(Refused):
    """Who asks is not known: no token, or one that is unknown, revoked or expired."""

    code: ClassVar[str] = "unauthenticated"
    status: ClassVar[int] = 77


class Forbidden(Refused):
    """Who asks may not do this; the message says which roles may."""

    code: ClassVar[str] = "forbidden"
    status: ClassVar[int] = 77


class RateLimited(LimitReached):
    """Too many calls of one client; `retry_after_ms` says when to ask again."""

    code: ClassVar[str] = "rate_limited"
    status: ClassVar[int] = 75


class ServerUnreachable(VisionFlowError):
    """No server answers there."""

    code: ClassVar[str] = "server_unreachable"
    status: ClassVar[int] = 69


class UsageError(VisionFlowError):
    """The call's words are off."""

    code: ClassVar[str] = "usage"
    status: ClassVar[int] = 2


class ConfigError(VisionFlowError):
    """A configuration file has a fault; the message names file, line and what is allowed."""

    code: ClassVar[str] = "config"
    status: ClassVar[int] = 78


class LogConflict(VisionFlowError):
    """Another writer appended to this stream first; this process is deposed."""

    code: ClassVar[str] = "log_conflict"


class LogUnavailable(VisionFlowError):
    """An append or read of the log failed; nothing of the batch was acknowledged."""

    code: ClassVar[str] = "log_unavailable"


class LogCorrupt(VisionFlowError):
    """The log's hash chain does not hold; the message names the first bad record."""

    code: ClassVar[str] = "log_corrupt"


class StoreTooOld(VisionFlowError):
    """The SQLite library has a known corruption fault."""

    code: ClassVar[str] = "store_too_old"


class StoreInUse(VisionFlowError):
    """Another live process owns this log."""

    code: ClassVar[str] = "store_in_use"
    status: ClassVar[int] = 75


class PortInUse(VisionFlowError):
    """Another process listens on this port."""

    code: ClassVar[str] = "port_in_use"
    status: ClassVar[int] = 75


class BlobMissing(VisionFlowError):
    """No blob with this hash is stored, or its content does not match."""

    code: ClassVar[str] = "blob_missing"


class NoResponders(VisionFlowError):
    """Nobody listens on the subject of a request."""

    code: ClassVar[str] = "no_responders"


class BusClosed(VisionFlowError):
    """The connection to the bus is gone."""

    code: ClassVar[str] = "bus_closed"


class FrameTooLarge(VisionFlowError):
    """A message exceeds the frame limit; send it as a blob."""

    code: ClassVar[str] = "frame_too_large"


class ConfinementUnavailable(VisionFlowError):
    """Nothing on this machine can confine foreign code, and it was not trusted."""

    code: ClassVar[str] = "confinement_unavailable"
    status: ClassVar[int] = 77


class CommandNotStarted(VisionFlowError):
    """A program does not exist or could not be executed."""

    code: ClassVar[str] = "command_not_started"


class WorkspaceError(VisionFlowError):
    """A workspace could not be prepared; the message says which step of it failed."""

    code: ClassVar[str] = "workspace"
    status: ClassVar[int] = 66


class StaleAttempt(VisionFlowError):
    """This attempt was superseded: its results are refused and it should stop."""

    code: ClassVar[str] = "stale_attempt"


class TryLater(VisionFlowError):
    """Raised by an agent: something outside asks for patience, so another attempt begins later.

    It is no failure and does not count as one. The wait is in the log with its reason.
    """

    code: ClassVar[str] = "try_later"

    def __init__(self, message: str, *, wait_ms: int, hint: str | None = None) -> None:
        """`wait_ms`: how long to wait, counted from now; bounded by `THROTTLE_MS_MAX`."""
        super().__init__(message, hint=hint)
        self.wait_ms = wait_ms


class CircuitOpenError(TryLater):
    """What is behind this circuit failed too often in a row, so it was not called.

    Uncaught in an agent it is a wait, as any `TryLater`.
    """

    code: ClassVar[str] = "circuit_open"
    status: ClassVar[int] = 75

    def __init__(self, message: str, *, circuit: str, wait_ms: int) -> None:
        """`wait_ms`: after this long one call may try it again."""
        super().__init__(message, wait_ms=wait_ms)
        self.circuit = circuit


class TaskFailed(VisionFlowError):
    """A task ended without a result; `reason` is the recorded one."""

    code: ClassVar[str] = "task_failed"
    status: ClassVar[int] = 1

    def __init__(self, message: str, *, task: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.task = task
        self.reason = reason


class AwaitedTaskFailed(TaskFailed):
    """The task whose result an agent waits for ended without one.

    Uncaught it ends the agent's own task: another attempt would wait for the same task.
    """

    code: ClassVar[str] = "awaited_task_failed"


class NoAnswer(VisionFlowError):
    """Nobody answered a request within its time."""

    code: ClassVar[str] = "no_answer"
    status: ClassVar[int] = 75


_REFUSALS: dict[str, type[Refused]] = {
    kind.code: kind
    for kind in (
        Forbidden,
        InboxFull,
        KeyReused,
        LimitReached,
        MailboxFull,
        NotBuilt,
        NotPersistable,
        RateLimited,
        Unauthenticated,
        UnknownAgent,
        UnknownId,
        UnknownSwarm,
        UnknownTask,
        UnknownTool,
    )
}


def refusal(code: str, message: str, hint: str | None = None) -> Refused:
    """The error for a refusal that was recorded as a code and a message; `hint` is that part at
    the message's end which says what to do."""
    kind = _REFUSALS.get(code, Refused)
    if hint and message.endswith(f" {hint}"):
        return kind(message[: -len(hint) - 1], code=code, hint=hint)
    return kind(message, code=code)
