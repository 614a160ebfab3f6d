"""Errors as faces tell them: one table from our errors to JSON-RPC codes and HTTP statuses."""

from typing import Any

import msgspec

from visionflow.domain.errors import (
    ConfigError,
    Forbidden,
    KeyReused,
    LimitReached,
    MailboxFull,
    NotBuilt,
    NotPersistable,
    RateLimited,
    Refused,
    Unauthenticated,
    UnknownAgent,
    UnknownId,
    UnknownSwarm,
    UnknownTool,
    UsageError,
    VisionFlowError,
    WorkspaceError,
)

PARSE, INVALID, METHOD, ARGUMENTS, INTERNAL = -32700, -32600, -32601, -32602, -32603
SERVER, AGENT, SWARM, LIMIT = -32000, -32001, -32002, -32003


class Fault(msgspec.Struct, frozen=True):
    """An error as it leaves."""

    rpc: int
    """The JSON-RPC code."""
    http: int
    """The HTTP status."""
    message: str
    """What happened, why, and what to do."""
    data: dict[str, Any]
    """`code`, a stable word, and what else is known: hint, retryAfterMs, ids."""


_TABLE: tuple[tuple[type[VisionFlowError], int, int], ...] = (
    (UnknownTool, METHOD, 404),
    (NotBuilt, METHOD, 501),
    (Unauthenticated, SERVER, 401),
    (Forbidden, SERVER, 403),
    (RateLimited, LIMIT, 429),
    (MailboxFull, LIMIT, 503),
    (LimitReached, LIMIT, 409),
    (UnknownSwarm, SWARM, 404),
    (UnknownAgent, AGENT, 404),
    (UnknownId, SERVER, 404),
    (KeyReused, ARGUMENTS, 409),
    (NotPersistable, ARGUMENTS, 422),
    (UsageError, ARGUMENTS, 422),
    (ConfigError, ARGUMENTS, 422),
    (WorkspaceError, ARGUMENTS, 422),
)
_ARGUMENT_CODES = ("usage", "payload_too_large")
"""Of refusals by the engine, which look at the arguments alone."""
_GROUPS = {"agents": AGENT, "swarm": SWARM}


def fault_of(error: BaseException, group: str = "") -> Fault:
    """How an error is told; `group` is that of the tool that it came from.

    An error that we do not know is told as ours, without its words: they may name what is not
    the client's business. Whoever calls this logs it.
    """
    if not isinstance(error, VisionFlowError):
        name = type(error).__name__
        return Fault(INTERNAL, 500, f"The server failed: {name}.", {"code": "internal"})
    code = error.reason if isinstance(error, Refused) else error.code
    data: dict[str, Any] = {"code": code}
    if error.hint is not None:
        data["hint"] = error.hint
    if isinstance(error, Refused):
        data.update(error.ids)
        if error.retry_after_ms is not None:
            data["retryAfterMs"] = error.retry_after_ms
    for kind, rpc, http in _TABLE:
        if isinstance(error, kind):
            return Fault(rpc, http, str(error), data)
    if isinstance(error, Refused):
        if code in _ARGUMENT_CODES:
            return Fault(ARGUMENTS, 422, str(error), data)
        return Fault(_GROUPS.get(group, SERVER), 409, str(error), data)
    return Fault(INTERNAL, 500, str(error), data)
