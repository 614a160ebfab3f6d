"""Creates a run: checks what was asked for, and lists the run before anything of it starts.

Under the user's folders this writes the run's own folder and one `.gitignore`, nothing else.
"""

import os
import secrets
import sys
import time
from pathlib import Path

from visionflow.adapters.os_processes import identity
from visionflow.compose.job.exits import OutputError
from visionflow.compose.job.folder import AgentOrder, Order, RunFolder, RunRecord, iso
from visionflow.domain.errors import UsageError, WorkspaceError
from visionflow.domain.ids import make_id
from visionflow.interfaces.templates import class_of
from visionflow.settings.agents import load_agents

DEFAULT_OUT = Path(".visionflow", "runs")
ROLES = ("tester", "reviewer")
GOAL_CHARS_MAX = 10_000


def create_run(
    goal: str,
    workspace: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    trust: bool = False,
    *,
    agents: str | os.PathLike[str] | None = None,
) -> RunFolder:
    """A new run under `out` (default `.visionflow/runs` here), listed from now on.

    `trust`: run foreign code also where nothing confines it. `agents`: an agents.yaml whose
    templates `tester` and `reviewer` are used; one in the workspace is never looked for, since a
    stranger may have written it.

    Raises:
        WorkspaceError: the workspace is no folder that can be read.
        OutputError: `out` cannot be written.
        ConfigError: the agents.yaml has a fault. Refused: it names a role that is not there.
        UsageError: the goal is empty or far too long.
    """
    if not goal.strip() or len(goal) > GOAL_CHARS_MAX:
        raise UsageError(f"A goal has 1 to {GOAL_CHARS_MAX} characters.")
    source = _readable(workspace)
    roles = _roles(agents)
    place = Path(os.path.abspath(DEFAULT_OUT if out is None else out))
    now_ms = int(time.time() * 1000)
    folder = RunFolder(place / make_id("run", now_ms, secrets.randbits(48)))
    try:
        ignoring = _prepare(place)
        folder.state.mkdir(parents=True)
        _ignore(folder.path if ignoring is None else ignoring)
        folder.write_order(
            Order(
                run=folder.run,
                goal=goal,
                workspace=source,
                exclude=_own_folders((place, folder.path), source),
                trusted=trust,
                virtual_env=os.environ.get("VIRTUAL_ENV"),
                agents=roles,
                import_paths=() if agents is None else _import_paths(),
            )
        )
        me = identity(os.getpid())
        record = RunRecord(folder.run, goal, source, iso(now_ms), "running", me)
        folder.write_record(record)
    except OSError as error:
        raise OutputError(
            f"The run cannot be written under {place}: {error.strerror or error}.",
            hint="Name a folder that you may write with --out DIR.",
        ) from error
    return folder


def _readable(workspace: str | os.PathLike[str]) -> str:
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


def _roles(agents: str | os.PathLike[str] | None) -> dict[str, AgentOrder]:
    settings = load_agents(None if agents is None else Path(agents))
    found: dict[str, AgentOrder] = {}
    for role in ROLES:
        template = settings.template(role)
        found[role] = AgentOrder(
            class_path=template.class_path,
            capabilities=tuple(class_of(template).capabilities),
            config=template.config,
            memory_bytes=template.ceiling_bytes,
        )
    return found


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


def _own_folders(ours: tuple[Path, ...], source: str) -> tuple[str, ...]:
    """What lies in the workspace and is ours."""
    real = (os.path.realpath(path) for path in ours)
    return tuple(path for path in real if path.startswith(source.rstrip("/") + "/"))
