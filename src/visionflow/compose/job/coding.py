"""Runs with coding agents: from what was asked for to their plan, and to what they may use."""

import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from visionflow.agents.candidates.planning import (
    CANDIDATES_MAX,
    code_plan,
    commands_of,
    with_commands,
)
from visionflow.agents.plans import Plan
from visionflow.agents.roles.job import CodingBounds
from visionflow.agents.tools.text import write_whole
from visionflow.compose.job.folder import CodingOrder, Order, RunFolder
from visionflow.compose.job.story import Story
from visionflow.compose.job.trust import home
from visionflow.domain.errors import UsageError
from visionflow.worker.limits import machine_bytes

ENDS_AT = "ends_at_ms"
"""The file, within what the agents share."""
_OF_A_SHELL = frozenset(("&&", "||", "|", ";", ">", ">>", "<", "&"))
GRAIN_MS = 2_000
MEMORY_BYTES = 8 << 30
"""Of one agent with its processes, where nobody says how much; half of a small machine's."""
AT_ONCE = 4
"""Coding agents at work at once, where nobody says how many."""


class CodingWish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for beside the goal. `None`: nothing was said."""

    agents: tuple[str, ...] = ()
    """Command lines, or names of profiles and roles; used in turn."""
    candidates: int | None = None
    accept: tuple[str, ...] = ()
    """Command lines that have to end with 0 on what is taken."""
    at_once: int | None = None
    bounds: CodingBounds = CodingBounds()
    wall_ms: int | None = None
    """Of the run as a whole."""

    @property
    def given(self) -> bool:
        """Whether anything was said."""
        return self != CodingWish()


def coding_plan(wish: CodingWish, goal: str, plan: Plan | None, workspace: str) -> Plan:
    """The whole plan: of a goal, candidates side by side; of a plan file, with its merge queue.

    Raises:
        UsageError: no agent does it, one or a predicate cannot be understood, or there are too many
            candidates.
        ConfigError: a role's file has a fault.
    """
    width = AT_ONCE if wish.at_once is None else wish.at_once
    if width < 1:
        raise UsageError("At least one agent has to be at work at once.")
    if plan is None:
        made = _side_by_side(wish, goal, width)
    else:
        if wish.candidates is not None:
            raise UsageError(
                "A plan file says how often each thing is done; it takes no number of candidates."
            )
        from visionflow.agents.candidates.splitting import with_queue

        if wish.accept:
            plan = msgspec.structs.replace(plan, accept=(*plan.accept, *wish.accept))
        made = with_queue(with_commands(plan, wish.agents, width))
    missing = [t.id for _, t in made.tasks() if t.type == "implement" and t.agent not in
               commands_of(made)]  # fmt: skip
    if missing:
        raise UsageError(
            f"Nobody is named who does {', '.join(missing[:5])}.",
            hint="Name coding agents with --agent, such as --agent 'claude -p {goal}', or give "
            "each task a `command`.",
        )
    check_commands(commands_of(made).values(), workspace)
    check_accept(made.accept)
    faults = made.faults()
    if faults:
        raise UsageError(f"The plan cannot run: {faults[0]}")
    return made


def _side_by_side(wish: CodingWish, goal: str, width: int) -> Plan:
    if not wish.agents:
        raise UsageError(
            "The playbook code needs a coding agent.",
            hint="Name one with --agent, such as --agent 'claude -p {goal}'; "
            "`visionflow agents detect` tells which are installed.",
        )
    count = len(wish.agents) if wish.candidates is None else wish.candidates
    if not 1 <= count <= CANDIDATES_MAX:
        raise UsageError(f"There are 1 to {CANDIDATES_MAX} candidates.")
    if count < len(wish.agents):
        raise UsageError(
            f"{len(wish.agents)} agents were named for {count} candidates.",
            hint="Ask for as many candidates as agents, or for more.",
        )
    return code_plan(goal, wish.agents, count, accept=wish.accept, width=width)


def check_commands(commands: Iterable[str], workspace: str) -> None:
    """See that each can be understood and its program is there.

    Raises:
        UsageError: one cannot.
        ConfigError: a role's file has a fault.
    """
    from visionflow.agents.command.roles import roles_in
    from visionflow.agents.command.template import missing_program, template_of

    user = os.environ.get("HOME")
    roles = roles_in(Path(workspace), Path(user) if user else None)
    for command in dict.fromkeys(commands):
        why = missing_program(template_of(command, roles), Path(workspace))
        if why is not None:
            raise UsageError(why, hint="`visionflow agents detect` tells which are installed.")


def check_accept(commands: Iterable[str]) -> None:
    """See that each predicate can be understood, before agents work for what nobody can hold them
    to.

    Raises:
        UsageError: one cannot.
    """
    hint = "Write it as in a shell, such as --accept 'pytest -k limit'."
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError as error:
            why = f"The predicate {command!r} is no command line: {error}."
            raise UsageError(why, hint=hint) from None
        if not words:
            raise UsageError("A predicate needs a command line.", hint=hint)
        shell = next((word for word in words if word in _OF_A_SHELL), None)
        if shell is not None:
            raise UsageError(
                f"The predicate {command!r} has {shell!r}, and no shell reads it.",
                hint=f"Write --accept {shlex.quote('sh -c ' + shlex.quote(command))}.",
            )


class TimeLimit:
    """When a run with a time limit ends, told to its agents in a file.

    Time in which nobody worked on it does not count, nor what the machine slept through: what the
    log tells of earlier processes is added to what this one worked, by a clock that stands still
    meanwhile.
    """

    def __init__(self, folder: RunFolder, order: Order) -> None:
        self._file = folder.coding / ENDS_AT
        self._wall_ms = None if order.coding is None else order.coding.wall_ms
        self._told_ms = 0
        self._began: tuple[int, float] | None = None
        """What had been worked when this process took the run up, and when that was."""

    def look(self, story: Story) -> None:
        """Write it where it is another one by more than a little."""
        if self._wall_ms is None:
            return
        now = time.monotonic()
        before_ms, began = self._began = self._began or (story.worked_ms, now)
        worked_ms = before_ms + round((now - began) * 1000)
        ends_at_ms = round(time.time() * 1000) + self._wall_ms - worked_ms
        if abs(ends_at_ms - self._told_ms) > GRAIN_MS:
            self._told_ms = ends_at_ms
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, str(ends_at_ms).encode())


def coding_order(wish: CodingWish) -> CodingOrder:
    """What the agents of a run may use."""
    governor = str(home() / "governor")
    return CodingOrder(bounds=bounded(wish.bounds), wall_ms=wish.wall_ms, governor=governor)


def bounded(bounds: CodingBounds) -> CodingBounds:
    """The same with a ceiling of memory where none was named: one agent must not take the
    machine's."""
    most = machine_bytes()
    if bounds.memory_bytes is not None or most is None:
        return bounds
    return msgspec.structs.replace(bounds, memory_bytes=min(MEMORY_BYTES, most // 2))
