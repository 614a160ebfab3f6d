"""`visionflow workspace`: what agents left in the folders of runs; kept work is never lost.

What is there, how it comes back and what may go is decided in `visionflow.compose.workspaces`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.compose.workspaces import Pruned, Restored, Work, Workspace

DEFAULT_OUT = Path(".visionflow/runs")
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON object and nothing else.")]
Out = Annotated[Path, Parameter(help="Where the folders of runs are.")]
Run = Annotated[str, Parameter(name="RUN")]
WORKSPACE_EXAMPLES = """\
Examples:
  visionflow workspace list
  visionflow workspace show run_1795855550167
  visionflow workspace restore run_1795855550167 candidate-2
  visionflow workspace prune
"""
LIST_EXAMPLES = """\
Examples:
  visionflow workspace list
  visionflow workspace list --json | jq -r '.runs[] | select(.removable_bytes > 0) | .run'
"""
SHOW_EXAMPLES = """\
Examples:
  visionflow workspace show run_1795855550167
  visionflow workspace show run_1795855550167 --json | jq -r '.kept[] | .restore'
"""
RESTORE_EXAMPLES = """\
Examples:
  visionflow workspace restore run_1795855550167 candidate-2
  visionflow workspace restore run_1795855550167 candidate-2.1 --to /tmp/first-try
"""
PRUNE_EXAMPLES = """\
Examples:
  visionflow workspace prune
  visionflow workspace prune run_1795855550167 --yes
"""
CANCELLED, SPARED = 5, 1
_UNITS = ("B", "kB", "MB", "GB", "TB")


def workspace_app() -> App:
    """The command with its four."""
    app = App(
        name="workspace",
        help="See what agents left, get it back, and make room.",
        help_epilogue=WORKSPACE_EXAMPLES,
    )
    app.command(listed, name="list", help_epilogue=LIST_EXAMPLES)
    app.command(show, help_epilogue=SHOW_EXAMPLES)
    app.command(restore, help_epilogue=RESTORE_EXAMPLES)
    app.command(prune, help_epilogue=PRUNE_EXAMPLES)
    return app


def listed(*, out: Out = DEFAULT_OUT, json: Json = False) -> int:
    """List the runs that have kept work or working copies, the newest first."""
    from visionflow.agents.tools.text import one_line
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import plain
    from visionflow.compose.workspaces import workspaces_in

    found = workspaces_in(out)
    if json:
        print_json({"runs": [_object(each) for each in found]})
        return 0
    for each in found:
        taken = sum(work.in_result is True for work in each.works)
        told = f"{len(each.works)} kept, {taken} in the result"
        size = f"{_size(each.bytes)}, {_size(each.removable_bytes)} can go"
        print(f"{one_line(each.run)}  {one_line(each.status):<11}  {told}  {size}")
        names = ", ".join(one_line(work.name, 60) for work in each.works)
        print(f"  {one_line(each.goal, 80)}" + (f"\n  {names}" if names else ""))
    if not found:
        print(
            f"No work of agents in {plain(str(out))}. It comes there with: "
            "visionflow run GOAL --agent 'claude -p {goal}'; --out names another folder."
        )
    return 0


def show(name: Run, /, *, out: Out = DEFAULT_OUT, json: Json = False) -> int:
    """Show each piece of kept work of a run, with the command that gets it back.

    Parameters
    ----------
    name
        The run's name, or how it begins.
    """
    from visionflow.agents.tools.text import one_line
    from visionflow.cli.result import print_json
    from visionflow.compose.job import find_run
    from visionflow.compose.workspaces import workspace_of

    found = workspace_of(find_run(out, name))
    if json:
        print_json(_object(found))
        return 0
    print(f"Run {one_line(found.run)}: {one_line(found.status)}, {one_line(found.goal, 80)}")
    print(f"{_size(found.bytes)} on the disk, {_size(found.removable_bytes)} of it can go")
    for work in found.works:
        print("\n".join(["", *_lines(found, work)]))
    if not found.works:
        print("No work is kept: no agent of it changed anything, or it has none.")
    return 0


def restore(
    name: Run,
    task: Annotated[str, Parameter(name="TASK")],
    /,
    *,
    to: Path | None = None,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> int:
    """Get kept work back as the branch visionflow/RUN-TASK of your repository.

    Nothing is merged or checked out, and whatever became of the work in its run does not matter.

    Parameters
    ----------
    name
        The run's name, or how it begins.
    task
        The work's name as `show` tells it, how that begins, or the number of a candidate.
    to
        Write all files as the agent left them into this new folder instead.
    """
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import say
    from visionflow.compose.workspaces import restore as bring_back

    done = bring_back(out, name, task, to)
    if json:
        print_json(_restored(done))
        return 0
    print("\n".join(_told(done)), flush=True)
    if done.outward:
        say(f"Links that lead out of it: {', '.join(done.outward)}")
    for note in done.brought.notes if done.brought is not None else ():
        say(note)
    return 0


def prune(
    name: Annotated[str | None, Parameter(name="RUN")] = None,
    /,
    *,
    yes: Annotated[bool, Parameter(negative=())] = False,
    out: Out = DEFAULT_OUT,
    json: Json = False,
) -> int:
    """Remove working copies, homes and scratch of runs that are over. Kept work stays.

    Every ref stays, and all kept work of a run is written into its kept.bundle before.

    Parameters
    ----------
    name
        This run only: its name, or how it begins. Without one, all that are over.
    yes
        Do not ask.
    """
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import plain, say
    from visionflow.compose.workspaces import prunable
    from visionflow.compose.workspaces import prune as remove

    found, left = prunable(out, name)
    for told in left:
        say(told)
    if found and not yes and not _agreed(found):
        say("Nothing was removed.")
        return CANCELLED
    done = [remove(each) for each in found]
    if json:
        print_json({"pruned": [_pruned(each) for each in done], "left": list(left)})
        return SPARED if any(each.spared for each in done) else 0
    for each in done:
        kept = f"; kept work is in {plain(each.bundle)}" if each.bundle else ""
        print(f"{each.run}: {_size(each.freed_bytes)} freed{kept}")
        for note in (*each.notes, *each.spared):
            say(note)
    if not done:
        print("There is nothing to remove.")
    return SPARED if any(each.spared for each in done) else 0


def _agreed(found: "tuple[Workspace, ...]") -> bool:
    """Whether a person at the terminal says yes.

    Raises:
        UsageError: nobody can be asked.
    """
    from visionflow.cli.terminal import is_terminal, say

    if not is_terminal(sys.stdin):
        raise UsageError(
            "prune asks before it removes anything, and there is no terminal to ask on.",
            hint="Give --yes; nothing was removed.",
        )
    total = sum(each.removable_bytes for each in found)
    names = ", ".join(each.run for each in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    say(f"Working copies, homes and scratch of {names}{more}: {_size(total)}. Kept work stays.")
    sys.stderr.write("Remove them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _lines(found: "Workspace", work: "Work") -> list[str]:
    from visionflow.agents.tools.text import one_line

    kept = work.kept
    where = {True: "in the result", False: "not in the result", None: "no result yet"}
    attempt = "" if kept.attempt is None else f", attempt {kept.attempt}"
    size = f"{_files(len(kept.files))}, +{kept.insertions} -{kept.deletions} lines"
    names = [f"  {one_line(name, 100)}" for name in kept.files[:10]]
    more = len(kept.files) - 10
    return [
        f"{one_line(work.name, 100)}{attempt}: {where[work.in_result]}, {size}",
        f"  {one_line(kept.subject, 100)}",
        *names,
        *([f"  and {more} more"] * (more > 0)),
        f"  Get it back:  {_restore_command(found, work)}",
    ]


def _restore_command(found: "Workspace", work: "Work") -> str:
    from visionflow.agents.report.commands import quoted
    from visionflow.compose.workspaces import has_repository

    words = f"visionflow workspace restore {quoted(found.run)} {quoted(work.name)}"
    to = "" if has_repository(found) else f" --to {quoted(f'{found.run}-{work.name}')}"
    return f"{words}{to} --out {quoted(str(Path(found.out).parent))}"


def _object(found: "Workspace") -> dict[str, object]:
    from visionflow.agents.workspace.keeping import recovering

    repository = str(Path(found.out, "state", "repository", "repository.git"))
    return {
        "run": found.run,
        "status": found.status,
        "started": found.started,
        "goal": found.goal,
        "out": found.out,
        "workspace": found.source,
        "bytes": found.bytes,
        "removable_bytes": found.removable_bytes,
        "kept": [
            {
                "name": work.name,
                "task": work.kept.task,
                "attempt": work.kept.attempt,
                "in_result": work.in_result,
                "ref": work.kept.ref,
                "commit": work.kept.commit,
                "base": work.kept.base,
                "subject": work.kept.subject,
                "files": list(work.kept.files),
                "insertions": work.kept.insertions,
                "deletions": work.kept.deletions,
                "restore": _restore_command(found, work),
                "fetch": recovering(repository, work.kept.ref),
            }
            for work in found.works
        ],
    }


def _told(done: "Restored") -> list[str]:
    from visionflow.agents.report.commands import quoted

    if done.brought is None:
        return [f"The files of {done.work.name} are in {quoted(done.folder or '')}."]
    place, branch = quoted(done.workspace.source), done.brought.branch
    how = "is there already" if done.brought.already else "is new"
    return [
        f"The branch {branch} {how} in {place}: {_files(len(done.brought.files))}.",
        f"Look at it:  git -C {place} log -p HEAD..{branch}",
        f"Take it:     git -C {place} merge {branch}",
        f"Drop it:     git -C {place} branch -D {branch}",
    ]


def _restored(done: "Restored") -> dict[str, object]:
    brought = done.brought
    return {
        "run": done.run,
        "name": done.work.name,
        "commit": done.work.kept.commit,
        "branch": None if brought is None else brought.branch,
        "tip": None if brought is None else brought.tip,
        "already": False if brought is None else brought.already,
        "folder": done.folder,
        "files": list(done.work.kept.files),
        "links_out": list(done.outward),
        "notes": [] if brought is None else list(brought.notes),
    }


def _pruned(done: "Pruned") -> dict[str, object]:
    return {
        "run": done.run,
        "freed_bytes": done.freed_bytes,
        "bundle": done.bundle,
        "notes": list(done.notes),
        "spared": list(done.spared),
    }


def _size(count: int) -> str:
    """Bytes for a person, in thousands."""
    value, unit = float(count), 0
    while value >= 1_000 and unit + 1 < len(_UNITS):
        value, unit = value / 1_000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _files(count: int) -> str:
    return f"{count} file" + ("" if count == 1 else "s")
