"""Log lines of switches of the topology: one line each, with what it was and why."""

from visionflow.domain import shape_events as h
from visionflow.domain.event import Event
from visionflow.domain.swarms import Topology
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known, Told


def said(event: Event) -> Told:
    assert chronicle.ROWS is ROWS
    known = Known(
        swarm="swarm_1", specs=lambda _: None, cover=lambda _, text: text, holders=dict[str, str]()
    )
    return ROWS[type(event)].words(event, known)


def test_a_switch_a_roll_back_and_the_end_of_a_trial_are_told_apart() -> None:
    star, mesh = Topology.STAR, Topology.MESH
    switch = said(h.TopologySwitched(before=star, after=mesh, reason="it\ngains"))
    assert switch == Told(None, "topology_switched", "swarm_1 is mesh now, and was star: it gains")
    back = said(h.TopologySwitched(before=mesh, after=star, reason="slow", rolled_back=True))
    assert back == Told(None, "topology_rolled_back", "swarm_1 is star now, and was mesh: slow")
    kept = said(h.TopologyKept(topology=mesh, reason="nothing was worse"))
    assert kept == Told(None, "topology_kept", "swarm_1 stays mesh: nothing was worse")
