"""Watches how busy the teams of a hierarchy are, and has it come before the manager when one has
been busy for a while with tasks waiting for it.

How busy somebody was is a signal and is kept here alone; that it came before the manager, with
figures and what is done about it, is in the log.
"""

from collections.abc import Callable

from visionflow.domain import teams_commands as tc
from visionflow.domain.teams import BUSY_BP, BUSY_MS, COOL_DOWN_MS, lead_word, team_word
from visionflow.engine.places import leading
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.seats import has_seats, seated
from visionflow.ports.host import Host
from visionflow.runtime.control_plane import ControlPlane

More = Callable[[str], str]
"""Makes a worker for a team, if it may; what is done, in words."""


def load_of(state: SwarmState, team: str) -> tuple[int, int]:
    """Of a team: places that are taken, and places."""
    people = seated(state, team)
    places = sum(agent.spec.tasks_max for agent in people)
    busy = sum(
        min(len(agent.open) - leading(state, agent), agent.spec.tasks_max) for agent in people
    )
    return busy, places


def waiting_for(state: SwarmState, team: str) -> int:
    """How many tasks wait for a place in a team: in line, or given out ahead. Those by which its
    lead leads take none."""
    words = (team_word(team), lead_word(team))
    queued = sum(
        size for key, size, _ in state.matching.groups(0) if any(word in key[0] for word in words)
    )
    ahead = sum(
        max(0, len(agent.open) - leading(state, agent) - agent.spec.tasks_max)
        for agent in seated(state, team)
    )
    return queued - len(state.seating.led.get(lead_word(team), ())) + ahead


def is_busy(busy: int, places: int) -> bool:
    """Whether so many places are as good as all."""
    return places > 0 and busy * 10_000 >= BUSY_BP * places


class TeamLoads:
    """Look at them every second or so. Belongs to the loop's thread."""

    def __init__(self, control: ControlPlane, host: Host) -> None:
        self.more: More | None = None
        """`None`: numbers of agents do not follow the load here."""
        self._control = control
        self._host = host
        self._since: dict[str, int] = {}
        """Teams that are busy, with since when."""
        self._told: dict[str, int] = {}

    def look(self) -> None:
        """See how the teams stand."""
        state, now_ms = self._control.state, self._host.monotonic_ms()
        if not has_seats(state) or state.closed is not None:
            return
        for name in state.teams.teams:
            busy, places = load_of(state, name)
            waiting = waiting_for(state, name) if is_busy(busy, places) else 0
            if not waiting:
                self._since.pop(name, None)
                continue
            for_ms = now_ms - self._since.setdefault(name, now_ms)
            if for_ms < BUSY_MS or now_ms - self._told.get(name, -COOL_DOWN_MS) < COOL_DOWN_MS:
                continue
            self._told[name] = now_ms
            self._control.offer(
                tc.ReportUtilisation(
                    now_ms=self._host.now_ms(),
                    team=name,
                    busy=busy,
                    places=places,
                    for_ms=for_ms,
                    action=self._action(state, name, waiting),
                ),
                bounded=False,
            )

    def _action(self, state: SwarmState, team: str, waiting: int) -> str:
        waits = f"{waiting} task{' waits' if waiting == 1 else 's wait'} for it"
        found = state.teams.teams[team]
        if len(found.members) >= found.span:
            return f"told: {waits}, and {found.span} may report to its lead"
        if self.more is None:
            return f"told: {waits}; a worker more would help"
        return f"{self.more(team)}: {waits}"
