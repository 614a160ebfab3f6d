"""What a mesh is said to be while only some of its peers have said anything."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain.events import AgentTerminated
from visionflow.domain.mesh_commands import ReportMembership
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.engine.state import SwarmState
from visionflow.interfaces.tools.meshes_told import mesh_told
from visionflow.runtime import meshing
from visionflow.runtime.mesh_views import Heard, Peers, reached_of
from visionflow.runtime.meshing import Meshing


class Mesh(Calm):
    """A calm world in a mesh, and the orchestrator's end of it."""

    def __init__(self, peers: int) -> None:
        super().__init__()
        self.state, self.log = SwarmState(), []
        spec = SwarmSpec(id="swarm_1", topology=Topology.MESH)
        self.send(c.CreateSwarm(now_ms=self.now_ms, spec=spec))
        self.peers = self.team(peers, memory_bytes=2**30)
        self.offered: list[object] = []
        control = SimpleNamespace(
            state=self.state, offer=lambda command, bounded: self.offered.append(command)
        )
        host = SimpleNamespace(now_ms=lambda: self.now_ms, monotonic_ms=lambda: self.now_ms)
        office = SimpleNamespace(pack_for_peers=lambda worker, message: None)
        self.meshing = Meshing(cast(Any, control), cast(Any, host), cast(Any, office))

    def say(
        self, agent: str, members: int, digest: str, reachable: int | None = None, sent: int = 1
    ) -> None:
        """A peer reports; without `reachable` it reaches all."""
        reached = members if reachable is None else reachable
        report = m.PeerReport(
            agent=agent,
            incarnation=self.state.lives.of(agent),
            epoch=1,
            members=members,
            reachable=reached,
            read_only=2 * reached <= members,
            digest=digest,
            since_ms=self.now_ms,
            sent=sent,
            received=sent,
            sent_bytes=100 * sent,
        )
        self.meshing.take(self.state.agents[agent].worker, report)

    def changes(self) -> list[tuple[int, int | None, tuple[str, ...]]]:
        """Membership as it was put on record."""
        found = [each for each in self.offered if isinstance(each, ReportMembership)]
        return [(each.members, each.reachable, each.read_only) for each in found]

    def messages(self) -> int | None:
        """As tools tell them."""
        swarm = SimpleNamespace(state=self.state, node=SimpleNamespace(mesh=self.meshing))
        told = mesh_told(cast(Any, swarm))
        assert told is not None
        return told.messages

    def told(self) -> tuple[int | None, int | None, bool | None]:
        """Members and reachable as tools tell them, and whether all agree."""
        swarm = SimpleNamespace(state=self.state, node=SimpleNamespace(mesh=self.meshing))
        told = mesh_told(cast(Any, swarm))
        assert told is not None
        return told.members, told.reachable, self.meshing.status().agree


@pytest.mark.acceptance("mesh")
def test_one_peer_that_has_reported_agrees_with_nobody_and_speaks_for_nobody() -> None:
    mesh = Mesh(3)
    assert mesh.told() == (None, None, None)
    mesh.say(mesh.peers[0], 1, "x")
    assert mesh.told() == (None, None, None)
    mesh.say(mesh.peers[1], 3, "y")
    assert mesh.told() == (3, None, False), "two that differ do, whatever the third knows"
    mesh.say(mesh.peers[0], 3, "y")
    assert mesh.told() == (3, None, None), "how many are reached all are to say"
    mesh.say(mesh.peers[2], 3, "y")
    assert mesh.told() == (3, 3, True)


@pytest.mark.acceptance("mesh")
def test_who_hung_before_others_reached_fewer_is_not_counted_as_reaching_all() -> None:
    mesh = Mesh(5)
    one, two, *hung = mesh.peers
    for agent in mesh.peers:
        mesh.say(agent, 5, "x")
    assert mesh.changes() == [(5, 5, ())]
    mesh.say(one, 5, "y", reachable=2)
    mesh.say(two, 5, "y", reachable=2)
    assert mesh.told()[:2] == (5, None), "the others may be those that are not reached"
    assert mesh.changes()[-1] == (5, None, (one, two))
    for agent in hung:
        mesh.state.supervised.suspects[mesh.state.agents[agent].worker] = "it is silent"
    mesh.say(one, 5, "y", reachable=2)
    assert mesh.told()[:2] == (5, 2)
    assert mesh.changes()[-1] == (5, 2, (one, two)), "what was not known is put on record then"


@pytest.mark.acceptance("mesh")
def test_of_one_that_is_cut_off_the_others_say_anew_whom_they_reach() -> None:
    mesh = Mesh(4)
    cut, *others = mesh.peers
    for agent in mesh.peers:
        mesh.say(agent, 4, "x")
    mesh.say(cut, 4, "x", reachable=1)
    assert mesh.told()[1] is None
    for agent in others:
        assert mesh.told()[1] is None
        mesh.say(agent, 4, "y", reachable=3)
    assert mesh.told()[1] == 3
    for agent in mesh.peers:
        mesh.say(agent, 4, "z")
    assert mesh.told() == (4, 4, True) and mesh.changes()[-1] == (4, 4, ())


@pytest.mark.acceptance("mesh")
def test_messages_are_added_up_over_lives_and_agents_that_have_ended() -> None:
    mesh = Mesh(3)
    for agent in mesh.peers:
        assert mesh.messages() is None, "the orchestrator came back, and some have yet to say it"
        mesh.say(agent, 3, "x", sent=100)
    assert mesh.messages() == 300
    first, second, third = mesh.peers
    mesh.state.lives.began(first)
    mesh.say(first, 3, "x", sent=5)
    assert mesh.messages() == 305, "its process was another, and began anew"
    mesh.say(second, 3, "x", sent=2)
    assert mesh.messages() == 307, "a peer that is made anew in its process does too"
    terminated = AgentTerminated(agent=third)
    del mesh.state.agents[third]
    mesh.meshing.note(mesh.state, terminated)
    assert mesh.messages() == 307


def test_who_is_up_is_looked_up_once_for_each_report(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, asked = Mesh(5), list[SwarmState]()

    def peers_of(state: SwarmState) -> Peers:
        asked.append(state)
        return found(state)

    found = meshing.peers_of
    monkeypatch.setattr(meshing, "peers_of", peers_of)
    for agent in mesh.peers * 2:
        mesh.say(agent, 5, "x")
    assert mesh.changes() == [(5, 5, ())]
    assert len(asked) == 2 * len(mesh.peers)


COUNTS = st.integers(1, 6)


@given(st.lists(st.tuples(COUNTS, COUNTS.map(lambda number: number if number < 5 else None))))
def test_how_many_are_reached_is_unknown_where_one_began_to_reach_fewer_than_another_said_before(
    said: list[tuple[int, int | None]],
) -> None:
    heard = [
        Heard(m.PeerReport(f"a{at}", 1, 1, 6, reached, False, "x", 0, 0, 0, 0), 0, at, short)
        for at, (reached, short) in enumerate(said, 1)
    ]
    doubted = any(
        one.short is not None
        and other.number < one.short
        and other.report.reachable > one.report.reachable
        for one in heard
        for other in heard
    )
    most = max((each.report.reachable for each in heard), default=None)
    assert reached_of(heard) == (None if doubted else most)
