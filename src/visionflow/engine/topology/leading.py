"""Whether a task by which the manager or a lead leads can be led in a swarm at all. Pure.

What nobody can lead is refused when it is handed in: nobody would ever take it, or it would wait
for a team that nobody chooses. What is under way goes on whatever becomes of the topology: while
teams choose nothing, the manager leads what the lead of a chosen team would have led.
"""

from collections.abc import Iterable

from visionflow.domain.errors import Refused
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import (
    ACCEPT,
    AGGREGATE,
    ASSIGN,
    DELEGATE,
    DISTRIBUTE,
    LEAD,
    LEAD_PREFIX,
    LEADS,
    MANAGER,
    REVIEW,
    is_leading,
)
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import topology_in_force

NO_HIERARCHY = "no_hierarchy"
"""The code of a refusal because nobody leads."""
CHOOSES = (DELEGATE, ASSIGN)
_OF_MANAGER = (DELEGATE, ASSIGN, REVIEW)
_OF_LEAD = (LEAD, ACCEPT, DISTRIBUTE, AGGREGATE)
_FORM = (
    "Form teams first: agent_spawn with config.hierarchy, or build_hierarchy. Or hand the task in "
    "by its own type."
)
_SWITCH = (
    "topology_optimize with apply and topology hierarchical puts teams in charge; swarm_init with "
    "topology hierarchical makes a swarm of its own."
)


def check_led(state: SwarmState, specs: Iterable[TaskSpec]) -> None:
    """See that each of these that leads can be led here.

    Raises:
        Refused: `no_hierarchy`: there are no teams, they choose nothing now, or it names a team
            that there is none of; `usage`: it is for no seat, or for a wrong one.
    """
    for spec in specs:
        if is_leading(spec.type):
            _check(state, spec.type, spec.capabilities, spec.agent)


def check_stage(state: SwarmState, kind: str, capabilities: tuple[str, ...]) -> None:
    """The same of a stage of a pipeline, by the type of its task and what that asks for."""
    if is_leading(kind):
        _check(state, kind, capabilities, None)


def _check(state: SwarmState, kind: str, words: tuple[str, ...], agent: str | None) -> None:
    teams = state.teams
    if not teams.teams and not (kind == REVIEW and teams.manager is not None):
        raise _refused(f"Nobody can do a task of type {kind}: this swarm has no teams.", _FORM)
    topology = topology_in_force(state)
    if kind in CHOOSES and topology is not Topology.HIERARCHICAL:
        if state.spec is None or state.spec.topology is not Topology.ADAPTIVE:
            raise _refused(
                f"No team can be chosen for a task of type {kind}: teams choose nothing while the "
                f"topology is {topology}.",
                _SWITCH,
            )
    if agent is None:
        _check_seat(kind, words)
    for word in words:
        name = word.removeprefix(LEAD_PREFIX)
        if word.startswith(LEAD_PREFIX) and name not in teams.teams:
            raise _refused(
                f"A task of type {kind} is for the lead of team {name}, and there is no such team.",
                f"Teams: {', '.join(teams.teams)}.",
            )


def _check_seat(kind: str, words: tuple[str, ...]) -> None:
    if kind in _OF_MANAGER and MANAGER not in words:
        raise Refused(
            f"A task of type {kind} is for the manager, and this one is for anybody.",
            code="usage",
            hint=f"Require the capability {MANAGER}.",
        )
    led = any(word == LEADS or word.startswith(LEAD_PREFIX) for word in words)
    if kind in _OF_LEAD and not led:
        raise Refused(
            f"A task of type {kind} is for a lead, and this one names none.",
            code="usage",
            hint=f"Require the capability {LEAD_PREFIX}TEAM, or {LEADS} for the lead of the team "
            "that the manager chooses.",
        )


def _refused(message: str, hint: str) -> Refused:
    return Refused(message, code=NO_HIERARCHY, hint=hint)
