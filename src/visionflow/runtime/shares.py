"""So many lines a second for each who writes: a flood of one leaves the others their room."""

from collections.abc import Callable

from visionflow.engine.state import SwarmState
from visionflow.ports.host import Host, Timer
from visionflow.ports.telemetry import Telemetry

WINDOW_MS = 1_000
AGENT_LINES_MAX = 100
"""A second, of one agent, and of a worker where a line is about none."""


class Share:
    """So many lines in each second; those beyond are counted and told together."""

    def __init__(
        self,
        host: Host,
        most: int,
        left_out: Callable[[int], None],
        idle: Callable[[], object] = lambda: None,
    ) -> None:
        """`left_out` gets how many, `idle` is called when a second is over."""
        self._host = host
        self._idle = idle
        self._most = most
        self._left_out = left_out
        self._room = most
        self._over = 0
        self._timer: Timer | None = None

    def take(self) -> bool:
        """Whether a line may be written; else it is counted."""
        if self._timer is None:
            self._timer = self._host.call_later(WINDOW_MS, self._turn)
        if self._room:
            self._room -= 1
            return True
        self._over += 1
        return False

    def leave_out(self, count: int) -> None:
        """Count lines that went missing on their way."""
        if self._timer is None:
            self._timer = self._host.call_later(WINDOW_MS, self._turn)
        self._over += count

    def close(self) -> None:
        """Tell what was left out by now."""
        if self._timer is not None:
            self._timer.cancel()
        self._turn()

    def _turn(self) -> None:
        self._timer = None
        over, self._over, self._room = self._over, 0, self._most
        if over:
            self._left_out(over)
        self._idle()


class AgentLines:
    """Writes the lines that agents say of themselves, each agent within its share. What is for
    debugging has another share: it may be thrown away afterwards, and must not cost the rest."""

    def __init__(self, host: Host, telemetry: Telemetry, state: SwarmState) -> None:
        self._host = host
        self._telemetry = telemetry
        self._state = state
        self._shares: dict[tuple[str, bool], Share] = {}

    def write(
        self, worker: str, agent: str | None, level: str, text: str, left_out: int = 0
    ) -> None:
        """A line that came from a worker, about an agent of its or about itself; or how many of
        them the worker left out."""
        known = None if agent is None else self._state.agents.get(agent)
        if known is not None and worker not in (
            known.worker,
            self._state.departing.get(known.spec.id),
        ):
            text = f"(worker {worker}, which does not host {agent}, said) {text}"
            agent, known = None, None
        # Of an agent that has left nothing is known: its lines are in its worker's share.
        share = self._share(worker if known is None else known.spec.id, level == "debug")
        if left_out > 0:
            share.leave_out(left_out)
        elif share.take():
            self._telemetry.log(level, agent, "agent", text)

    def _share(self, whose: str, debugs: bool) -> Share:
        key = (whose, debugs)
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share(
                self._host,
                AGENT_LINES_MAX,
                lambda count: self._left_out(whose, debugs, count),
                lambda: self._shares.pop(key, None),
            )
        return share

    def _left_out(self, whose: str, debugs: bool, count: int) -> None:
        agent = whose if whose in self._state.agents else None
        of = "its" if agent is not None else f"worker {whose}'s"
        told = f"{count} of {of} lines within {WINDOW_MS} ms"
        self._telemetry.log("debug" if debugs else "warning", agent, "lines_left_out", told)

    def close(self) -> None:
        """Tell what was left out by now."""
        for share in list(self._shares.values()):
            share.close()
