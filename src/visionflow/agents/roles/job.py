"""What the input of a role's task says: which workspace, and where work and results go.

Values only; the ground itself is made by `ground`.
"""

import os
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.agents.base import PermanentFailure
from visionflow.agents.evidence import Focus, Part
from visionflow.agents.storing import restored, storable
from visionflow.agents.task import Task

__all__ = ["CodingBounds", "CodingPool", "JobInput", "job_input", "restored", "storable"]


class CodingBounds(msgspec.Struct, frozen=True):
    """Limits of a run of the playbook `code`; `None`: there is none."""

    wall_ms: int = 1_800_000
    """Of one go of an agent."""
    memory_bytes: int | None = None
    """Of one agent with all its processes."""
    output_bytes: int = 67_108_864
    """Of one go; more of it ends the agent."""
    tokens: int | None = None
    """Of all goes of the run together, input and output, as far as tools report them. No further
    one starts above it."""
    cost_microdollars: int | None = None
    """The same for money."""
    ends_at_ms: int | None = None
    """When the run as a whole has to be over, in ms since the epoch: no go starts after it, and
    none goes on."""


class CodingPool(msgspec.Struct, frozen=True):
    """What several runs of the playbook `code` share: a ledger, and limits; `None`: none."""

    folder: str
    """A folder of ours with the ledger."""
    name: str
    """Whose limits these are, such as `the swarm swarm_1`."""
    tokens: int | None = None
    """Of all goes of all the runs; as in `CodingBounds`."""
    cost_microdollars: int | None = None
    ends_at_ms: int | None = None
    wall_ms: int | None = None
    """Of one go, whatever its agent's own limit says."""


class JobInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input of every task of a role. Only `workspace` must be given."""

    workspace: str
    """The folder to work for; it is only read."""
    repository: str
    """A folder of ours for the private repository and its worktrees."""
    scratch: str
    """A folder of ours for everything that tools need on the way."""
    junit: str
    """Where junit.xml goes."""
    coverage: str
    """Where coverage.xml goes, when there is coverage."""
    exclude: tuple[str, ...] = ()
    """What lies within the workspace and is no part of it."""
    trusted: bool = False
    """The user said to run foreign code also where nothing confines it."""
    virtual_env: str | None = None
    """The user's VIRTUAL_ENV."""
    cache: str | None = None
    """A folder in which results are kept by the content they are of; `None`: none are reused."""
    goal: str = ""
    run: str = ""
    """The run's id; names the coder's branch."""
    patch: str | None = None
    """Where changes.patch goes."""
    part: Part | None = None
    """The slice of the workspace that is meant; `None`: all of it."""
    parts: tuple[Part, ...] = ()
    """The coordinator's: how the plan split the workspace."""
    reviewed: tuple[Part, ...] | None = None
    """The coordinator's: the slices that some review of the plan is about; `None`: all of it."""
    veil: bool = False
    """The coordinator's: no review looks for secrets everywhere, so that the survey has to, lest
    what others quote holds one."""
    commit: str | None = None
    """Of a stage in a pipeline: what is looked at, a commit of the private repository; empty: the
    files as they were found. `None`: those, in a worktree as it was left."""
    alone: bool = False
    """The task is of no run: it covers itself what it quotes."""
    gates: tuple[str, ...] = ()
    """The coordinator's: what the plan asks for at its end."""
    focus: Focus | None = None
    """What a review looks at; `None`: at everything."""
    change: str | None = None
    """Of a vote: the id of the task whose change is voted on."""
    member: str | None = None
    """Of a vote: whose ballot it is; `None`: the agent's own."""
    plan_task: str | None = None
    """Of the playbook `code`: the id of the task in the plan."""
    of: str | None = None
    """Of `judge`: whose result; of `implement`: what it does once more. Ids of the plan."""
    expected: tuple[str, ...] = ()
    """Of `integrate`: whose work there should be, by the plan. What is not there is told of."""
    folder: str | None = None
    """Of the playbook `code`: a folder of ours for what its agents need: copies, logs, ledgers."""
    accept: tuple[str, ...] = ()
    """Of the playbook `code`: predicates of what is taken, command lines."""
    governor: str | None = None
    """Of the playbook `code`: a folder of ours, the same for all runs of this user, in which it is
    kept how fast each tool may be started."""
    bounds: CodingBounds = CodingBounds()
    """Of the playbook `code`: what all its agents together may use."""
    pool: CodingPool | None = None
    """Of the playbook `code`: what it shares with other runs; `None`: nothing."""


def job_input(task: Task, folder: Path) -> JobInput:
    """The task's input; what it leaves out lies under `folder`, the agent's own. A task without
    any input is about the folder that the program was started in.

    Raises:
        PermanentFailure: it does not say what must be known.
    """
    written = {"workspace": os.getcwd()} if task.input is None else cast(object, task.input)
    if not isinstance(written, dict):
        raise PermanentFailure(
            f"The input of a task of type {task.type!r} is a map with a workspace.",
            hint='Write input={"workspace": "/absolute/path"}.',
        )
    own = folder / task.id
    usual = {
        "repository": str(own / "repository"),
        "scratch": str(own / "scratch"),
        "junit": str(own / "junit.xml"),
        "coverage": str(own / "coverage.xml"),
    }
    try:
        given = msgspec.convert({**usual, **cast("dict[str, Any]", written)}, JobInput)
    except msgspec.ValidationError as error:
        raise PermanentFailure(
            f"The input of a task of type {task.type!r} cannot be used: {error}.",
            hint=f"Its keys are {', '.join(JobInput.__struct_fields__)}.",
        ) from error
    if not Path(given.workspace).is_absolute():
        raise PermanentFailure(f"The workspace {given.workspace!r} is no absolute path.")
    return given
