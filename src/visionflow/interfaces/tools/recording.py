"""Changes as they are made for a caller: once for each key, to the end, and on record.

A change goes on when whoever asked is gone: half of it would be worse than all of it.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from visionflow.domain.errors import Refused
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.tool import Call
from visionflow.runtime.swarms import LiveSwarm

T = TypeVar("T")
_numbers = itertools.count(1)


def command_id(call: Call, tool: str, part: str = "") -> str | None:
    """The id of the command that a call with a key makes, `None` without a key.

    The same caller's same key for the same tool and arguments is the same command, whatever
    connection it comes over and however often the server was started in between. `part` tells the
    commands of one call apart.
    """
    if call.key is None:
        return None
    name, key = _word(call.caller.name), _word(call.key)
    return f"{name}/{tool}/{call.digest}/{key}{'/' if part else ''}{part}"


def key_of(command: str) -> tuple[str, str] | None:
    """Whose key made a command, and what for; `None` when it was not made by `command_id`."""
    parts = command.split("/", 4)
    if len(parts) < 4:
        return None
    name, tool, digest, key = parts[:4]
    return f"{name}/{key}", f"{tool}/{digest}"


def _word(text: str) -> str:
    """A part of a command's id, which are told apart by slashes."""
    return text.replace("%", "%25").replace("/", "%2F")


async def once(server: Server, word: str, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
    """Make a change, or join in where one of the same word is being made; and whether it was this
    call that began it. Cancelling ends the waiting, not the change."""
    under_way = server.under_way
    found = under_way.get(word)
    first = found is None
    if found is None:
        found = under_way[word] = asyncio.ensure_future(make())
        found.add_done_callback(lambda done: _over(server, word, done))
    return await asyncio.shield(found), first


def _over(server: Server, word: str, done: "asyncio.Future[T]") -> None:
    server.under_way.pop(word, None)
    if not done.cancelled():
        done.exception()  # Whoever waits is told; when nobody does any more, that is no fault.


async def record_refusal(
    server: Server,
    call: Call,
    tool: str,
    error: Refused,
    subject: str | None = None,
    swarm: str | None = None,
    command: str | None = None,
) -> None:
    """Have the audit know that a call was refused."""
    caller = call.caller
    await server.fleet.record_call(
        by=caller.name,
        role=caller.role,
        face=caller.face,
        tool=tool,
        code=error.reason,
        message=error.message,
        subject=subject,
        swarm=swarm,
        call=command,
    )


async def recorded(
    server: Server,
    call: Call,
    tool: str,
    make: Callable[[], Awaitable[T]],
    *,
    swarm: LiveSwarm | str | None = None,
    subject: str | Callable[[T], str] | None = None,
    command: str | None = None,
) -> T:
    """Make a change and have the audit know of it, or that it was refused; returns once both are
    durable. `subject`: the id of what is changed, or how it is found in what was made. Calls with
    the same `command` that come meanwhile get the same outcome.

    Raises:
        Refused: as `make`; that is on record too.
    """
    where = swarm.id if isinstance(swarm, LiveSwarm) else swarm
    caller = call.caller

    async def change() -> T:
        known = subject if isinstance(subject, str) else None
        try:
            made = await make()
        except Refused as error:
            await record_refusal(server, call, tool, error, known, where, command)
            raise
        if callable(subject):
            known = subject(made)
        # After the change: until then nobody knows that it was accepted.
        await server.fleet.record_call(
            by=caller.name,
            role=caller.role,
            face=caller.face,
            tool=tool,
            subject=known,
            swarm=where,
            call=command,
        )
        return made

    made, _ = await once(server, command or f"{tool}/{next(_numbers)}", change)
    call.kept = True
    return made
