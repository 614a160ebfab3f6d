"""Decisions about which topology is in force, on request; what time makes due of it is in
`engine/topology/adaptive.py`."""

from visionflow.domain import shape_commands as hc
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.domain.swarms import Topology
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.adaptive import is_worth, propose, switched, why


@decides(hc.SwitchTopology)
def _(state: SwarmState, command: hc.SwitchTopology) -> list[AnyEvent]:
    if state.spec is None or state.closed is not None:
        raise Refused("No topology of the swarm is switched: it is closed.", code="swarm_closed")
    found = propose(state, command.now_ms)
    after = command.topology
    if after is Topology.ADAPTIVE:
        raise Refused(
            "Adaptive is no topology that could be in force: it chooses one.",
            code="usage",
            hint="Name another one, or create the swarm as adaptive.",
        )
    if after is None:
        if not is_worth(found):
            raise Refused(
                f"No switch is worth it: {told(found.gain_bp)}.",
                code="no_gain",
                hint="Ask without apply for the figures.",
            )
        after = found.best or found.before
    if after is found.before:
        raise Refused(f"The swarm is {after} already.", code="topology_in_force")
    reason = f"{command.reason}: {why(found)}" if command.topology is None else command.reason
    return [switched(state, found, after, command.now_ms, reason, command.command)]


def told(gain_bp: int | None) -> str:
    """A predicted gain, in words."""
    if gain_bp is None:
        return "no task was measured yet that a prediction could rest on"
    return f"the best topology would gain {gain_bp / 100:.0f} %, and 20 % are the least"
