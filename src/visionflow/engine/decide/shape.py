"""Decisions about which topology is in force."""

from visionflow.domain import shape_commands as hc
from visionflow.domain import shape_events as h
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.domain.swarms import Topology
from visionflow.engine.decide.table import decides
from visionflow.engine.measuring import measured_now
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import topology_in_force

COOL_DOWN_MS = 300_000


@decides(hc.SwitchTopology)
def _(state: SwarmState, command: hc.SwitchTopology) -> list[AnyEvent]:
    if state.spec is None or state.closed is not None:
        raise Refused("No topology of the swarm is switched: it is closed.", code="swarm_closed")
    after, before = command.topology, topology_in_force(state)
    if after is None or after is before or after is Topology.ADAPTIVE:
        raise Refused(f"The swarm is {before} already.", code="topology_in_force")
    return [
        h.TopologySwitched(
            before=before,
            after=after,
            reason=command.reason,
            measured=measured_now(state),
            cooled_ms=command.now_ms + COOL_DOWN_MS,
            command=command.command,
        )
    ]
