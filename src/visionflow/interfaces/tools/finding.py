"""From the ids and names in a call to the living things they mean; and adoption.

A swarm id never seen before is adopted by tools that may: a swarm of that id is made with
defaults. What a client may call its own (its latest swarm) is kept here too.
"""

import re
import secrets

from visionflow.domain.errors import LimitReached, UnknownAgent, UnknownSwarm, UsageError
from visionflow.domain.ids import make_id
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.state import AgentState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.recording import command_id, once
from visionflow.interfaces.tools.tool import Call
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.swarms import LiveSwarm

LATEST_MAX = 10_000
"""Clients whose latest swarm is known."""
_SWARM_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_ANY = "\x00any"


def checked_swarm_id(given: str) -> str:
    """An id as a new swarm may have it.

    Raises:
        UsageError: it has other characters, or is too long.
    """
    if _SWARM_ID.fullmatch(given) is None:
        raise UsageError(
            f"swarmId is {given[:60]!r}; a swarm's id has 1 to 100 letters, digits, _, ., : or -."
        )
    return given


def new_swarm_id(server: Server) -> str:
    """A fresh one."""
    return make_id("swarm", server.now_ms(), secrets.randbits(64))


def limits_for(server: Server, agents_max: int | None = None) -> Limits:
    """The limits of a new swarm.

    Raises:
        UsageError: it would have no agent.
        LimitReached: it would have more than the whole server may.
    """
    settings = server.settings
    most = settings.agents_max if agents_max is None else agents_max
    if most < 1:
        raise UsageError(f"maxAgents is {most}; it is at least 1.")
    if most > settings.agents_max:
        raise LimitReached(
            f"maxAgents is {most}; this server has at most {settings.agents_max} agents.",
            hint="Ask for fewer, or start the server with a higher MAX_AGENTS.",
        )
    return Limits(
        agents_max=most,
        attempt_timeout_ms=settings.agent_timeout_ms,
        workers_max=settings.workers_max,
    )


def remember(server: Server, call: Call, swarm: LiveSwarm) -> LiveSwarm:
    """This is the latest swarm of the client from now on."""
    latest = server.swarms.latest_of
    latest.pop(call.caller.client, None)
    latest[call.caller.client] = swarm.id
    if len(latest) > LATEST_MAX:
        del latest[next(iter(latest))]
    return swarm


def open_swarm(server: Server, call: Call, given: str | None) -> LiveSwarm:
    """The swarm of this id; without one the latest of this client, else the latest.

    Raises:
        UnknownSwarm: there is none.
    """
    if given is not None:
        found = server.swarms.find(given)
        if found is None:
            raise no_swarm(server, given)
        return remember(server, call, found)
    latest = server.swarms.latest(call.caller.client)
    if latest is None:
        raise UnknownSwarm("There is no swarm yet.", hint="Make one with swarm_init.")
    return latest


def no_swarm(server: Server, given: str) -> UnknownSwarm:
    """There is no such swarm, or it is over: then when that was, and who ended it."""
    ending, ids = server.fleet.state.endings.get(given), {"swarmId": given[:100]}
    if ending is None:
        return UnknownSwarm(
            f"There is no swarm {given[:100]!r}.",
            hint="swarm_list has those that there are; swarm_init makes one.",
            ids=ids,
        )
    return UnknownSwarm(
        f"Swarm {given!r} is over: {ending.by} ended it at {iso(ending.at_ms)} ({ending.reason}).",
        hint="It can still be read; swarm_init makes another, of another id.",
        ids=ids,
    )


def readable_swarm(server: Server, call: Call, given: str | None) -> AnySwarm:
    """The same, also one that is over, where its id is given.

    Raises:
        UnknownSwarm: there never was one, or that is forgotten.
    """
    if given is not None and server.swarms.find(given) is None:
        found = server.ended.find(given)
        if found is not None:
            call.saw(server.fleet)
            return found
    return open_swarm(server, call, given)


async def swarm_or_new(
    server: Server, call: Call, given: str | None, command: str | None = None
) -> tuple[LiveSwarm, bool]:
    """The swarm, and whether it was made for this call; `command`: the id under which it is, so
    that the call knows it when it comes again.

    Raises:
        UnknownSwarm: it is over.
        UsageError: no swarm can have this id.
        Refused: the fleet takes no more swarms.
    """
    swarms = server.swarms
    known = swarms.latest(call.caller.client) if given is None else swarms.find(given)
    if known is not None:
        made_before = _made_under(server, command, known)
        return (known if given is None else remember(server, call, known)), made_before
    identity = new_swarm_id(server) if given is None else checked_swarm_id(given)
    if given is not None and given in server.fleet.state.ended:
        raise no_swarm(server, given)
    spec = SwarmSpec(id=identity, limits=limits_for(server))

    async def make() -> LiveSwarm:
        return await swarms.create(spec, call.caller.name, command)

    # Whoever asks for the same one meanwhile gets it too.
    made, first = await once(server, f"adopt/{_ANY if given is None else identity}", make)
    call.kept = True
    # Who waited may be the same call under its key, come again before this one was through.
    return remember(server, call, made), first or _made_under(server, command, made)


def _made_under(server: Server, command: str | None, swarm: LiveSwarm) -> bool:
    before = server.fleet.state.answers.get(command or "")
    return before is not None and before.subject == swarm.id


def answered_in(server: Server, call: Call, tool: str, part: str = "") -> LiveSwarm | None:
    """The swarm where a call with this key was made before, if one remembers: a retry that names
    no swarm must not end up in another."""
    command = command_id(call, tool, part)
    if command is None:
        return None
    return next((each for each in server.swarms.all() if command in each.state.answers), None)


def find_agent(
    server: Server, call: Call, agent: str, swarm: str | None
) -> tuple[LiveSwarm, AgentState]:
    """The living agent of this id or name; in this swarm, else in any.

    Raises:
        UnknownSwarm: there is no such swarm.
        UnknownAgent: there is no such agent.
    """
    within = None if swarm is None else open_swarm(server, call, swarm)
    try:
        return server.swarms.agent(agent, within)
    except UnknownAgent as error:
        where = "" if within is None else f" in swarm {within.id}"
        raise UnknownAgent(
            f"There is no agent {agent[:100]!r}{where}.",
            hint="agent_list has them all.",
            ids={"agentId": agent[:100]},
        ) from error
