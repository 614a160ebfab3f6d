"""Who asks, and what each role may do. How somebody proves to be who they are is a face's."""

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """What a caller may do. A tool says which roles it serves."""

    VIEWER = "viewer"
    """Reads."""
    AGENT = "agent"
    """What one of our agents needs while it works: reads, and its own memory and messages."""
    OPERATOR = "operator"
    """Starts, changes and ends swarms, agents and tasks."""
    ADMIN = "admin"
    """Everything, whole swarms and queues of others included."""


READERS = frozenset(Role)
MEMBERS = frozenset({Role.AGENT, Role.OPERATOR, Role.ADMIN})
OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a call, and over which face."""

    name: str
    """`local:USER` for our own user on this machine, `token:NAME`, or `agent:ID`. The audit has
    it, and idempotency keys count within it."""
    role: Role
    face: str
    """tcp, http, mcp, stdio, rest, socket or python."""
    client: str
    """A connection or session: calls that name no swarm use the latest of this client."""
    limited: bool = False
    """Whether limits on rate and concurrency hold for it: not for our own user on loopback."""
    program: str | None = None
    """What the client calls itself."""
