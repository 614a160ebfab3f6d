"""Goals as the server takes them on: what was asked for, and what came of it.

How a goal becomes a plan and a plan a report is behind `Jobs`; tools and faces see this.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from visionflow.agents.roles.job import CodingBounds
from visionflow.domain.access import Caller
from visionflow.domain.tasks import DEFAULT_RETRY, Priority, RetryPolicy
from visionflow.domain.votes import Agreement
from visionflow.engine.aggregation import Rule
from visionflow.interfaces.stages import Stage
from visionflow.runtime.swarms import LiveSwarm

T = TypeVar("T")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work for an agent."""

    type: str = "task"
    description: str = ""
    input: Any = None
    config: dict[str, Any] = {}
    capabilities: tuple[str, ...] = ()
    agent: str | None = None
    """Only this agent, by id."""
    agent_type: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for, read and checked."""

    description: str
    """Byte for byte as it was sent."""
    task_type: str | None = None
    """A type that agents know; `None` for a goal in words."""
    input: Any = None
    config: dict[str, Any] = {}
    workspace: str | None = None
    playbook: str | None = None
    stages: tuple[str, ...] = ()
    pipeline: tuple[Stage, ...] = ()
    """Stages that are validated, one after the other."""
    subtasks: tuple[Work, ...] = ()
    sequential: bool | None = None
    """One after the other, or side by side; `None`: as the plan has it."""
    parallelism: int | None = None
    """At most so many of its tasks at once."""
    priority: int = Priority.MEDIUM
    timeout_ms: int | None = None
    deadline_ms: int | None = None
    capabilities: tuple[str, ...] = ()
    """The plan's agents together must cover these."""
    failure_threshold: float | None = None
    """Of a phase, the share of failed tasks that is borne; `None`: all of a playbook's, none of
    others."""
    aggregation: Rule | None = None
    """How the results of its parts, or of so many copies of it, are made into one; `None`: they
    are told as they are."""
    retry: RetryPolicy = DEFAULT_RETRY
    agent: str | None = None
    """Only this agent, by id."""
    agent_type: str | None = None
    candidates: int | None = None
    """So many coding agents do the goal side by side, of the playbook `code`."""
    accept: tuple[str, ...] = ()
    """Of the playbook `code`: commands that have to end with 0 on what is taken."""
    bounds: CodingBounds = CodingBounds()
    """What its coding agents may use."""
    agreement: Agreement | None = None
    """How the swarm votes on the result before it completes; `None`: it does not."""
    form_team: bool | None = None
    """Spawn the agents that the plan needs; `None`: where a client has agents of its own, only
    those of a role that none of them has."""
    key: str | None = None
    """The id of the command: the same again is the same task."""


class PhasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of what was planned."""

    name: str
    tasks: tuple[str, ...]
    """Ids."""
    agents: tuple[str, ...]
    """Ids of agents that can do its tasks now."""
    dependencies: tuple[str, ...] = ()
    """Phases that come before it."""
    estimated_ms: int | None = None
    """From the record of like tasks; `None` without one."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was taken on."""

    task: str
    status: str
    phases: tuple[PhasePlan, ...] = ()
    agents: tuple[str, ...] = ()
    """Agents that the plan will use, as far as is known."""
    formed: tuple[str, ...] = ()
    """Agents that were spawned for it."""
    playbook: str | None = None
    why: str | None = None
    missing: str | None = None
    """What it waits for when it is blocked."""
    unmet: tuple[str, ...] = ()
    """Capabilities that were asked for and nobody here covers."""
    run: str | None = None
    """The run whose folder gets the report."""
    electorate: tuple[str, ...] = ()
    """Members of the plan that vote on its change; nobody where no vote is planned."""
    agreement: Agreement | None = None
    """How the swarm votes on its result; `None`: it does not."""
    estimated_ms: int | None = None
    """How long all of it takes, from the record of like tasks; `None` without one."""
    lacking: tuple[str, ...] = ()
    """What no agent can take as things are, and what would mend it."""
    warnings: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of a playbook left."""

    run: str
    folder: Path
    status: str
    summary: dict[str, Any] | None
    """The view of the run (see docs/report.md); `None` until there is one."""


class Jobs(Protocol):
    """Takes on goals. Belongs to the loop's thread."""

    async def start(self, order: Order, swarm: LiveSwarm, caller: Caller) -> Started:
        """Plan it and hand it in; returns once that is durable.

        Raises:
            UsageError: the order cannot be understood.
            WorkspaceError: its workspace cannot be used.
            Refused: the swarm does not take it.
        """
        ...

    def report(self, task: str) -> Report | None:
        """What the run of this root task has left by now; `None` when it is no playbook's.

        Blocks on the disk; from any thread."""
        ...

    async def concluded(self, task: str) -> None:
        """Wait until the report of an ended playbook task is written; at once for any other."""
        ...

    def expects(self, task: str) -> bool:
        """Whether agents that a playbook task lacks will be spawned by themselves, once others
        have made room."""
        ...

    def covered(self, task: str, value: T) -> T:
        """What a task said of itself while it works (a note, a reason), without the secrets that
        its run is known to have found by now."""
        ...

    async def veiled(self, tasks: Iterable[str], value: T, *, at_once: bool = False) -> T:
        """What tells of these tasks (results, events), without the secrets that their runs found.

        Of tasks that are of no run it is `value` itself. May take the time of reading a log, and
        of a run under way that of writing its report; with `at_once` what is known by now is
        enough."""
        ...

    def runs(self) -> list[Report]:
        """All runs of this server that are still on disk, newest first, without their summaries.

        Blocks on the disk; from any thread."""
        ...
