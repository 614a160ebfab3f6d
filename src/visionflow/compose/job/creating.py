"""Creates a run: checks what was asked for, plans it, and lists it before anything of it starts.

Under the user's folders this writes the run's own folder and one `.gitignore`, nothing else.
"""

import os
import secrets
import sys
import time
from pathlib import Path

import msgspec

from visionflow.adapters.os_processes import identity
from visionflow.agents.plans import GOAL_CHARS_MAX, PLAYBOOKS, Plan, Playbook
from visionflow.agents.roles.playbooks import Choice, choose, plan_of, split
from visionflow.agents.tools.project import look
from visionflow.agents.tools.text import write_whole
from visionflow.compose.job.coding import CodingWish, coding_order, coding_plan
from visionflow.compose.job.exits import OutputError
from visionflow.compose.job.folder import Order, RunFolder, RunRecord, iso
from visionflow.compose.job.planfile import plan_text
from visionflow.compose.job.team import coordination_of, not_held, own_roles, team_of
from visionflow.compose.job.trust import home
from visionflow.domain.errors import ConfigError, UsageError, WorkspaceError
from visionflow.domain.ids import make_id
from visionflow.settings.agents import AgentSettings, load_agents

DEFAULT_OUT = Path(".visionflow", "runs")
NO_CODING = CodingWish()


class UnsureOfPlaybook(UsageError):
    """The goal does not tell which playbook is meant; `among` are those to choose from."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice.why, hint=f"Say which with --playbook {' or '.join(choice.among)}.")
        self.among = choice.among


class Planned(msgspec.Struct, frozen=True):
    """What a goal comes to on a workspace."""

    goal: str
    workspace: str
    plan: Plan | None
    why: str
    """Why this playbook, or what is missing."""


def make_plan(
    goal: str,
    workspace: str | os.PathLike[str],
    *,
    playbook: str | None = None,
    agents: str | os.PathLike[str] | None = None,
    coding: CodingWish = NO_CODING,
) -> Planned:
    """Choose a playbook for the goal and split the workspace; writes nothing.

    `coding`: who writes code for it, of the playbook `code`, which is meant where anything is said.

    Raises:
        WorkspaceError: the workspace is no folder that can be read.
        UnsureOfPlaybook: the goal does not tell what is meant.
        UsageError: the goal is empty or far too long, or there is no such playbook.
        ConfigError: the agents.yaml has a fault.
    """
    if not goal.strip() or len(goal) > GOAL_CHARS_MAX:
        raise UsageError(f"A goal has 1 to {GOAL_CHARS_MAX} characters.")
    source = readable(workspace)
    if coding.given or playbook == "code":
        if playbook not in (None, "code"):
            raise UsageError(
                f"Coding agents do the playbook code, not {playbook}.",
                hint="Leave --playbook out.",
            )
        made = coding_plan(coding, goal, None, source)
        return Planned(goal, source, made, made.why)
    choice = choose(goal) if playbook is None else named(playbook)
    if choice.missing is not None:
        return Planned(goal, source, None, choice.missing)
    if choice.playbook is None:
        raise UnsureOfPlaybook(choice)
    settings = coordination_of(load_agents(None if agents is None else Path(agents)))
    plan = plan_of(
        goal, choice.playbook, choice.why, split(look(source)),
        sequential=settings.strategy == "sequential",
    )  # fmt: skip
    return Planned(goal, source, plan, choice.why)


def named(playbook: str) -> Choice:
    """The choice of somebody who says which playbook it is.

    Raises:
        UsageError: there is no such playbook.
    """
    found: Playbook | None = next((each for each in PLAYBOOKS if each == playbook), None)
    if found is None:
        raise UsageError(
            f"There is no playbook {playbook!r}.", hint=f"There are {', '.join(PLAYBOOKS)}."
        )
    return Choice(found, f"The playbook {found} was asked for.")


def create_run(
    goal: str,
    workspace: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    trust: bool = False,
    *,
    agents: str | os.PathLike[str] | None = None,
    playbook: str | None = None,
    plan: Plan | None = None,
    cache: bool = True,
    coding: CodingWish = NO_CODING,
) -> RunFolder:
    """A new run under `out` (default `.visionflow/runs` here), listed from now on.

    `trust`: run foreign code also where nothing confines it. `agents`: an agents.yaml whose
    templates are used; one in the workspace is never looked for, since a stranger may have written
    it. `plan`: follow this one instead of one made from the goal. `cache`: reuse results of files
    that have not changed since an earlier run. `coding`: who writes code, and within which limits.

    Raises:
        WorkspaceError: the workspace is no folder that can be read.
        OutputError: `out` cannot be written.
        ConfigError: the agents.yaml has a fault.
        UnsureOfPlaybook: the goal does not tell what is meant.
        UsageError: the goal is empty or far too long, or there is no such playbook.
    """
    if plan is None:
        planned = make_plan(goal, workspace, playbook=playbook, agents=agents, coding=coding)
    else:
        source = readable(workspace)
        plan = _plan_of_file(plan, coding, goal, source)
        planned = Planned(goal, source, plan, plan.why)
        _check_parts(plan, planned.workspace)
    settings = load_agents(None if agents is None else Path(agents))
    place = Path(os.path.abspath(DEFAULT_OUT if out is None else out))
    now_ms = int(time.time() * 1000)
    folder = RunFolder(place / make_id("run", now_ms, secrets.randbits(48)))
    order = order_of(folder, planned, settings, trust, iso(now_ms), (place, folder.path))
    order = msgspec.structs.replace(
        order,
        agents={} if planned.plan is None else team_of(planned.plan, settings),
        workers=_workers(planned.plan, settings),
        cache=str(home() / "cache") if cache else None,
        import_paths=() if agents is None else _import_paths(),
        coding=coding_order(coding) if planned.plan and planned.plan.playbook == "code" else None,
    )
    write_run(folder, order)
    return folder


def _plan_of_file(plan: Plan, coding: CodingWish, goal: str, workspace: str) -> Plan:
    if plan.playbook == "code":
        return coding_plan(coding, goal, plan, workspace)
    if coding.given:
        raise UsageError(
            f"The plan is of the playbook {plan.playbook}, which no coding agent does.",
            hint="Write `playbook: code` and tasks of type implement, or leave --agent and its "
            "kin out.",
        )
    return plan


def _workers(plan: Plan | None, settings: AgentSettings) -> int:
    most = coordination_of(settings).max_workers
    agents = 0 if plan is None else len(plan.agents)
    return max(1, min(most, max(2, os.cpu_count() or 1), agents))


def _check_parts(plan: Plan, workspace: str) -> None:
    """Each folder of a part is a folder of the workspace.

    Raises:
        ConfigError: one is not.
    """
    for part in plan.parts:
        for folder in (*part.folders, *part.besides):
            place = os.path.normpath(os.path.join(workspace, folder))
            inside = place == workspace or place.startswith(workspace.rstrip("/") + "/")
            if os.path.isabs(folder) or not inside or not os.path.isdir(place):
                raise ConfigError(
                    f"The part {part.name!r} of the plan names {folder!r}, which is no folder of "
                    f"{workspace}."
                )


def order_of(
    folder: RunFolder,
    planned: Planned,
    settings: AgentSettings,
    trust: bool,
    started: str,
    ours: tuple[Path, ...],
) -> Order:
    """The order of a run, without its agents. `started`: ISO 8601; `ours`: folders that are no part
    of the workspace where they lie in it.

    Raises:
        ConfigError: a setting of the coordinator's template cannot be used.
    """
    plan = planned.plan
    coordination = coordination_of(settings)
    return Order(
        run=folder.run,
        goal=planned.goal,
        workspace=planned.workspace,
        exclude=own_folders(ours, planned.workspace),
        trusted=trust,
        virtual_env=os.environ.get("VIRTUAL_ENV"),
        agents={},
        started=started,
        plan=plan,
        why=planned.why,
        digest="" if plan is None else plan.digest,
        supervision_ms=coordination.supervision_interval,
        escalation_threshold=coordination.escalation_threshold,
        warnings=() if plan is None else not_held(plan, settings),
        own_roles=own_roles(settings),
    )


def write_run(folder: RunFolder, order: Order) -> None:
    """Make the folder of a run, which is listed from now on.

    Raises:
        OutputError: it cannot be written.
    """
    place = folder.path.parent
    try:
        _write(folder, place, order)
    except OSError as error:
        raise OutputError(
            f"The run cannot be written under {place}: {error.strerror or error}.",
            hint="Name a folder that you may write with --out DIR.",
        ) from error


def _write(folder: RunFolder, place: Path, order: Order) -> None:
    ignoring = _prepare(place)
    # What tests and tools said is in the log as it was: for its owner alone.
    folder.state.mkdir(mode=0o700, parents=True)
    _ignore(folder.path if ignoring is None else ignoring)
    folder.write_order(order)
    if order.plan is not None:
        text = plan_text(order.plan, order.workspace, str(folder.plan))
        write_whole(folder.plan, text.encode())
    me = identity(os.getpid())
    folder.write_record(
        RunRecord(folder.run, order.goal, order.workspace, order.started, "running", me)
    )


def readable(workspace: str | os.PathLike[str]) -> str:
    """The real path of a workspace.

    Raises:
        WorkspaceError: it is no folder that can be read.
    """
    try:
        real = os.path.realpath(workspace, strict=True)
        with os.scandir(real):
            pass
        real.encode("utf-8")
    except UnicodeEncodeError:
        raise WorkspaceError("The workspace's path is not UTF-8; it cannot be recorded.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise WorkspaceError(
            f"{os.fspath(workspace)} cannot be used as a workspace: {why}.",
            hint="Name a folder that exists and that you may read with --workspace PATH.",
        ) from error
    return real


def _import_paths() -> tuple[str, ...]:
    return tuple(os.path.abspath(entry or ".") for entry in sys.path)


def _prepare(out: Path) -> Path | None:
    """Make the output folder; returns where a `.gitignore` of everything does no harm.

    `None`: the folder holds other things too, so that only the run's own may be hidden.
    """
    parts = [out, *out.parents]
    marked = [path for path in parts if path.name == ".visionflow"]
    for path in parts[: parts.index(marked[-1]) + 1] if marked else []:
        # A cloned repository may hold such a link; we would write where it leads.
        if path.is_symlink():
            raise OutputError(
                f"{path} is a symbolic link; nothing is written through it.",
                hint="Remove it, or name another folder with --out DIR.",
            )
    out.mkdir(parents=True, exist_ok=True)
    if marked:
        return marked[-1]
    foreign = [path for path in out.iterdir() if not (path / "run.json").is_file()]
    return None if any(path.name != ".gitignore" for path in foreign) else out


def _ignore(folder: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / ".gitignore", flags, 0o644)
    except FileExistsError:
        return
    with open(descriptor, "w") as file:
        file.write("*\n")


def own_folders(ours: tuple[Path, ...], source: str) -> tuple[str, ...]:
    """What of our folders lies in a workspace, by its real path."""
    real = (os.path.realpath(path) for path in ours)
    return tuple(path for path in real if path.startswith(source.rstrip("/") + "/"))
