"""The tool coordination_sync: what members hold against what the log says of them, made equal."""

from typing import Annotated

from visionflow.domain.access import OPERATORS
from visionflow.domain.swarms import Topology
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.swarms import LiveSwarm
from visionflow.runtime.syncing import Synced

SYNC = "coordination_sync"
LISTED_MAX = 200


class Sync(Arguments, frozen=True, kw_only=True):
    """Arguments of coordination_sync."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None


class MemberDigest(Result, frozen=True, kw_only=True):
    """Digests of an agent that is up: its version, and what it was built as."""

    agent_id: str
    expected: str
    """By the log."""
    before: str | None
    """In its worker; null: it had none, or did not answer."""
    after: str | None
    gossip: str | None
    """Of what it knows of its mesh, where it is a peer of one."""


class Resent(Result, frozen=True, kw_only=True):
    """What was done about a difference."""

    agent_id: str
    difference: str
    action: str


class SyncedSwarm(Result, frozen=True, kw_only=True):
    """Whether members hold what they should, and what was done."""

    swarm_id: str
    equal: bool | None
    """Null: a worker did not answer."""
    members: list[MemberDigest]
    """At most `LISTED_MAX`, those that differ first."""
    resent: list[Resent]
    silent: list[str]
    """Workers that did not answer."""
    peers_agree: bool | None


def syncing(server: Server) -> AnyTool:
    """coordination_sync."""

    async def run(call: Call, given: Sync) -> SyncedSwarm:
        swarm = open_swarm(server, call, given.swarm_id)
        found = await recorded(
            server,
            call,
            SYNC,
            swarm.node.syncing.sync,
            swarm=swarm,
            subject=swarm.id,
            command=command_id(call, SYNC),
        )
        call.saw(swarm)
        return _told(swarm, found)

    return Tool(
        name=SYNC,
        group="coordination",
        summary="Compare what agents' workers hold with the log, and make it equal.",
        arguments=Sync,
        result=SyncedSwarm,
        roles=OPERATORS,
        run=run,
        example={},
        positional=("swarmId",),
    )


def _told(swarm: LiveSwarm, found: Synced) -> SyncedSwarm:
    mesh = swarm.node.mesh
    is_mesh = topology_in_force(swarm.state) is Topology.MESH
    reports = [each for each in mesh.reports() if is_mesh and each.epoch > 0]
    knows = {report.agent: report.digest for report in reports}
    members = sorted(found.members, key=lambda each: each.after == each.expected)
    answered = [each for each in members if each.worker not in found.silent]
    equal = all(each.after == each.expected for each in answered) and not found.left
    return SyncedSwarm(
        swarm_id=swarm.id,
        equal=None if found.silent and equal else equal,
        members=[
            MemberDigest(
                agent_id=each.agent,
                expected=each.expected,
                before=each.before,
                after=each.after,
                gossip=knows.get(each.agent),
            )
            for each in members[:LISTED_MAX]
        ],
        resent=[
            Resent(agent_id=agent, difference=difference, action=action)
            for (_, agent, difference), (_, action) in zip(
                found.differed, found.resent, strict=True
            )
        ],
        silent=found.silent,
        peers_agree=mesh.status().agree if reports else None,
    )
