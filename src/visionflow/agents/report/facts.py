"""What a run amounts to as its log has it: the one thing that every report is made from."""

import msgspec

from visionflow.agents.candidates.values import Contest, Usage
from visionflow.agents.evidence import Architecture, Change, Research, Survey, Vote
from visionflow.agents.findings import ToolRun
from visionflow.agents.tools.results import TestRun


class TaskFacts(msgspec.Struct, frozen=True):
    """One task of the plan and how it stands."""

    task: str
    title: str
    role: str
    phase: str
    status: str
    """A task's status word."""
    reason: str | None = None
    """Why, where it did not complete."""
    attempts: int = 0
    type: str = ""
    """What is asked of the role, such as `review_code` or `vote`."""
    of: str | None = None
    """Of a coding agent's second go: the task that it does once more; of `judge`: whose result."""
    until_ms: int | None = None
    """When it goes on by itself, ms since the epoch, where it waits."""
    command: str | None = None
    """Of a coding agent: its command line, or the name of a profile."""


class GoesFacts(msgspec.Struct, frozen=True):
    """All starts of one coding agent's program together, as the run's ledger has them."""

    usage: Usage
    """What they used, as far as it was told."""
    whole: bool
    """Whether each of them told all its tokens."""


class RunFacts(msgspec.Struct, frozen=True):
    """Everything that is known of a run at one moment. What no task told is `None` or empty."""

    run: str
    goal: str
    playbook: str
    why: str
    """Why this playbook, one sentence."""
    workspace: str
    out: str
    """The run's own folder."""
    status: str
    """running, completed, failed, blocked, cancelled or interrupted."""
    started: str
    seconds: float
    tasks: tuple[TaskFacts, ...] = ()
    gates: tuple[str, ...] = ()
    """The names of the gates that the plan asks for, in order."""
    trusted: bool = False
    survey: Survey | None = None
    tests: TestRun | None = None
    tools: tuple[ToolRun, ...] = ()
    """One for each tool, over all parts together."""
    research: Research | None = None
    architecture: Architecture | None = None
    change: Change | None = None
    vote: Vote | None = None
    coverage_gate: bool | None = None
    """Whether coverage reaches the tester's threshold."""
    head: str | None = None
    """The workspace's own commit."""
    dirty: bool | None = None
    warnings: tuple[str, ...] = ()
    """Settings that were given and have no effect, each with why."""
    own_warnings: tuple[str, ...] = ()
    """Those of them that are about templates of the user's own file."""
    gaps: tuple[tuple[str, str | None], ...] = ()
    """(focus, part) that no review came to the end of. `None`: of no part; empty: of what lies in
    none."""
    notes: tuple[str, ...] = ()
    contest: Contest | None = None
    """Of the playbook `code`: what its agents did and how that was judged."""
    goes: dict[str, GoesFacts] = {}
    """Of each task of it whose agent was started; also of those that came to no end."""
