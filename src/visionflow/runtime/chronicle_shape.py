"""What a log line tells of each event of a swarm's shape; it fills the table of
`chronicle_words`."""

from visionflow.domain import shape_events as h
from visionflow.runtime.chronicle_words import REASON_CHARS_MAX, Known, Told, one_line, tells


@tells("info", "agent", h.TopologySwitched)
def _(event: h.TopologySwitched, known: Known) -> Told:
    code = "topology_rolled_back" if event.rolled_back else "topology_switched"
    told = f"{known.swarm} is {event.after} now, and was {event.before}"
    return Told(None, code, f"{told}: {one_line(event.reason, REASON_CHARS_MAX)}")


@tells("info", "agent", h.TopologyKept)
def _(event: h.TopologyKept, known: Known) -> Told:
    told = f"{known.swarm} stays {event.topology}: {one_line(event.reason, REASON_CHARS_MAX)}"
    return Told(None, "topology_kept", told)
