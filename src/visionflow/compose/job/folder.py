"""The folder of one run: where everything of it lies, and the two small files that describe it.

`run.json` says how the run stands and changes; `state/order.json` says what was asked for and
never changes. Each is replaced as a whole, so that a reader never sees half of one.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.lock import owner
from visionflow.adapters.os_processes import Identity, identity, is_alive
from visionflow.agents.plans import Plan
from visionflow.agents.roles.job import CodingBounds, CodingPool
from visionflow.agents.tools.text import write_whole
from visionflow.compose.job.naming import ALONE, Names, Shared
from visionflow.domain.errors import UnknownId
from visionflow.domain.supervision import USUAL_UPKEEP, Upkeep
from visionflow.domain.tasks import DEFAULT_RETRY, Priority, RetryPolicy
from visionflow.domain.votes import Agreement
from visionflow.engine.aggregation import Rule

FINISHED = ("completed", "failed", "blocked", "cancelled")
"""Status words after which nothing of a run changes; the others are running and interrupted."""


class RunInfo(msgspec.Struct, frozen=True):
    """A run as it is listed."""

    run: str
    status: str
    out: str
    """Its own folder, absolute."""
    goal: str
    started: str
    """ISO 8601, UTC."""


class RunRecord(msgspec.Struct, frozen=True):
    """What run.json holds."""

    run: str
    goal: str
    workspace: str
    started: str
    status: str
    owner: Identity | None = None
    """The process that wrote this while it worked on the run."""


class AgentOrder(msgspec.Struct, frozen=True):
    """An agent of the run, as the templates had it when the run was created."""

    role: str
    class_path: str
    capabilities: tuple[str, ...]
    config: dict[str, Any] = {}
    memory_bytes: int | None = None
    upkeep: Upkeep = USUAL_UPKEEP


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Of a run in a swarm of a server: where it is, and what was asked for beside the goal."""

    swarm: str
    root: str
    """The id of its root task; those of its parts begin with it."""
    store: str
    """The server's folder, with the log and the blobs."""
    after: int
    """The record of the swarm's log after which everything of it stands."""
    command: str
    """The id of the command that hands the plan in."""
    by: str
    """Who asked for it."""
    priority: int = Priority.MEDIUM
    timeout_ms: int | None = None
    """Of each attempt; `None`: as the plan has it."""
    deadline_ms: int | None = None
    capabilities: tuple[str, ...] = ()
    """Those of its agents together."""
    needs: dict[str, tuple[str, ...]] = {}
    """Which of them the tasks of a role ask for."""
    failure_threshold: float | None = None
    retry: RetryPolicy = DEFAULT_RETRY
    width: int = 0
    """At most so many tasks of a phase at once; 0: all."""
    doers: dict[str, str] = {}
    """By type of task, the type of agents that does it in the place of the plan's role."""
    forming: dict[str, str] = {}
    """Agents of the plan that are spawned for it, with the ids that they get."""
    form_team: bool | None = None
    """What was said of it; `False`: none are."""
    agreement: Agreement | None = None
    """How the swarm votes on its result before it completes; `None`: it does not."""
    aggregation: Rule | None = None
    """How what its reviews recommend is made into one; `None`: it is not."""


class CodingOrder(msgspec.Struct, frozen=True):
    """Of a run with coding agents: what they may use."""

    bounds: CodingBounds
    wall_ms: int | None = None
    """Of the run as a whole, the time in which nobody worked on it not counted."""
    governor: str | None = None
    """Where it is kept how fast each tool may be started."""
    pool: CodingPool | None = None
    """What it shares with other runs of its swarm."""


class Order(msgspec.Struct, frozen=True):
    """What was asked for."""

    run: str
    goal: str
    workspace: str
    """The real path of the user's folder."""
    exclude: tuple[str, ...]
    """What lies in it and is no part of it: the output folder."""
    trusted: bool
    virtual_env: str | None
    agents: dict[str, AgentOrder]
    """By the agent's id: its role, for a reviewer with its focus."""
    started: str
    """ISO 8601, UTC."""
    plan: Plan | None
    """`None` when no present backend can do it."""
    why: str
    """Why this playbook, or what is missing."""
    digest: str = ""
    """Of the plan."""
    workers: int = 1
    supervision_ms: int = 5_000
    escalation_threshold: float = 0.7
    cache: str | None = None
    import_paths: tuple[str, ...] = ()
    own_roles: tuple[str, ...] = ()
    """Roles whose template is of the user's own file."""
    warnings: tuple[str, ...] = ()
    """What the templates ask for and nothing holds."""
    served: Served | None = None
    """`None`: the run has a swarm, a log and agents of its own."""
    coding: CodingOrder | None = None
    """`None`: no coding agent works on it."""

    @property
    def names(self) -> Names:
        """How its tasks are named in the log."""
        return ALONE if self.served is None else Shared(self.served.root)


class RunFolder:
    """A run on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))

    def __repr__(self) -> str:
        return f"RunFolder({self.path})"

    @property
    def run(self) -> str:
        """The run's id, which is the folder's name."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """The plan that it follows."""
        return self.path / "plan.yaml"

    @property
    def report(self) -> Path:
        """The report for people, as text."""
        return self.path / "report.md"

    @property
    def page(self) -> Path:
        """The report for people, in a browser."""
        return self.path / "report.html"

    @property
    def patch(self) -> Path:
        """The coder's change, where there is one."""
        return self.path / "changes.patch"

    @property
    def sarif(self) -> Path:
        """All findings, one run a tool."""
        return self.path / "findings.sarif"

    @property
    def junit(self) -> Path:
        """The tests' results."""
        return self.path / "junit.xml"

    @property
    def coverage(self) -> Path:
        """Coverage, where there is any."""
        return self.path / "coverage.xml"

    @property
    def events(self) -> Path:
        """The committed events, one a line."""
        return self.path / "events.jsonl"

    @property
    def summary(self) -> Path:
        """What `--json` prints."""
        return self.path / "summary.json"

    @property
    def state(self) -> Path:
        """Log, blobs, private repository, worktrees and scratch."""
        return self.path / "state"

    @property
    def coding(self) -> Path:
        """What coding agents need: working copies, homes, outputs, ledgers."""
        return self.state / "coding"

    def log_of(self, order: Order) -> tuple[Path, str, int]:
        """The log that has the events of the run, its stream, and the record that they follow."""
        served = order.served
        if served is None:
            return self.state / "log.db", order.run, 0
        return Path(served.store, "log.db"), served.swarm, served.after

    def blobs_of(self, order: Order) -> Path:
        """The folder that has the large values of the run."""
        return (self.state if order.served is None else Path(order.served.store)) / "blobs"

    @property
    def _record(self) -> Path:
        return self.path / "run.json"

    @property
    def is_whole(self) -> bool:
        """Whether all that makes it a run was written."""
        return self._record.is_file() and (self.state / "order.json").is_file()

    def read_record(self) -> RunRecord:
        """What run.json holds.

        Raises:
            UnknownId: there is no run here.
        """
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=RunRecord)
        except (OSError, msgspec.DecodeError) as error:
            raise UnknownId(f"There is no run in {self.path}: {error}.") from error

    def write_record(self, record: RunRecord) -> None:
        """Replace run.json."""
        _write_json(self._record, record)

    def mark(self, status: str) -> None:
        """Change the status; while it is running, this process is named as the owner."""
        me = identity(os.getpid()) if status == "running" else None
        self.write_record(msgspec.structs.replace(self.read_record(), status=status, owner=me))

    def read_order(self) -> Order:
        """What was asked for.

        Raises:
            UnknownId: there is no run here.
        """
        try:
            content = (self.state / "order.json").read_bytes()
            return msgspec.json.decode(content, type=Order)
        except (OSError, msgspec.DecodeError) as error:
            raise UnknownId(f"There is no order of a run in {self.state}: {error}.") from error

    def write_order(self, order: Order) -> None:
        """Write it once and for all."""
        _write_json(self.state / "order.json", order)

    def read_summary(self) -> dict[str, Any] | None:
        """The stored summary; `None` where there is none yet."""
        try:
            return msgspec.json.decode(self.summary.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return None

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Store what `--json` prints."""
        _write_json(self.summary, summary)

    def status(self) -> str:
        """How the run stands now: a run whose owner is gone and that is not over is interrupted.

        Raises:
            UnknownId: there is no run here.
        """
        record = self.read_record()
        if record.status in FINISHED:
            return record.status
        # While an orchestrator is brought back, only its front is there.
        if any(owner(self.state / name) is not None for name in ("owner.lock", "front.lock")):
            return "running"
        if record.owner is not None and is_alive(record.owner):
            return "running"
        return "interrupted"

    def info(self) -> RunInfo:
        """The run as it is listed.

        Raises:
            UnknownId: there is no run here.
        """
        record = self.read_record()
        return RunInfo(record.run, self.status(), str(self.path), record.goal, record.started)


def iso(at_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_json(path: Path, value: object) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
