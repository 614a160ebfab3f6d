"""Decisions about which topology is in force, on request; what time makes due of it is in
`engine/topology/adaptive.py`."""

from msgspec.structs import replace

from visionflow.domain import shape_commands as hc
from visionflow.domain import shape_events as h
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.decide.closing import Closing
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState
from visionflow.engine.topology import adaptive
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
    closing = Closing(state)
    event = switched(state, found, after, command.now_ms, reason)
    _switch(closing, replace(event, requested=True, command=command.command))
    return closing.events


def reshape(closing: Closing, now_ms: int) -> None:
    """What time has made due of the topology."""
    for event in adaptive.due(closing.state, now_ms):
        if isinstance(event, h.TopologySwitched):
            _switch(closing, event)
        else:
            closing.events.append(event)


def _switch(closing: Closing, event: h.TopologySwitched) -> None:
    """Put it into force. What waits for a stage of its phase is free once there are none."""
    closing.events.append(event)
    if event.before is not Topology.SEQUENTIAL:
        return
    for task in closing.state.tasks.values():
        if task.plan is None or task.status is not TaskStatus.ORCHESTRATING:
            continue
        phases = task.plan.phases
        phase = phases[task.plan.current] if phases else None
        if phase is not None and phase.stages and not closing.has_ended(task.spec.id):
            closing.open_phase(replace(phase, stages=()))


def told(gain_bp: int | None) -> str:
    """A predicted gain, in words."""
    if gain_bp is None:
        return "no task was measured yet that a prediction could rest on"
    return f"the best topology would gain {gain_bp / 100:.0f} %, and 20 % are the least"
