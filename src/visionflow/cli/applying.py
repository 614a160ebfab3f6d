"""`visionflow apply`: brings the change of a run into the user's repository, and says what to type
next. Whether it may be brought in, and how, is decided elsewhere (`visionflow.compose.applying`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from visionflow.compose.applying import Applied

DEFAULT_OUT = Path(".visionflow/runs")
FLAG = Parameter(negative=())
APPLY_EXAMPLES = """\
Examples:
  visionflow apply run_1795855550167
  visionflow apply run_1795855550167 --to-working-tree
  git diff HEAD...visionflow/run_1795855550167
"""
FILES_MAX = 10


def apply(
    name: Annotated[str, Parameter(name="RUN")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Where the folders of runs are.")] = DEFAULT_OUT,
    to_working_tree: Annotated[bool, FLAG] = False,
    force: Annotated[bool, FLAG] = False,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON object and nothing else.")
    ] = False,
) -> int:
    """Bring the change that a run made into the repository it worked on, as a branch.

    The branch is visionflow/RUN. Nothing is merged, pushed or checked out, and no branch that is
    there is moved. A change that a gate or the reviewers' vote turned down needs --force.

    Parameters
    ----------
    name
        The run's name, or how it begins.
    to_working_tree
        Change the files themselves instead, where each is as the run found it; the way for a
        folder without git.
    force
        Bring it in although it was turned down.
    """
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import say
    from visionflow.compose.applying import apply_run
    from visionflow.compose.job import find_run

    applied = apply_run(find_run(out, name), to_working_tree=to_working_tree, force=force)
    if json:
        print_json(_object(applied))
        return 0
    if applied.forced is not None:
        say(f"It was turned down, and is brought in all the same: {applied.forced}")
    print("\n".join(_lines(applied)), flush=True)
    if applied.brought.moved_on:
        say("HEAD is another commit now than when the run began; the branch stands on the old one.")
    return 0


def _object(applied: "Applied") -> dict[str, object]:
    brought = applied.brought
    return {
        "run": applied.run,
        "workspace": applied.workspace,
        "branch": brought.branch,
        "tip": brought.tip,
        "commits": brought.commits,
        "files": list(brought.files),
        "insertions": applied.insertions,
        "deletions": applied.deletions,
        "already": brought.already,
        "head_moved": brought.moved_on,
        "forced": applied.forced,
    }


def _lines(applied: "Applied") -> list[str]:
    """What was done, and the commands that go on from there."""
    from visionflow.agents.report.commands import quoted
    from visionflow.agents.tools.text import one_line

    brought = applied.brought
    size = (
        f"{_number(brought.commits, 'commit')}, {_number(len(brought.files), 'file')}, "
        f"+{applied.insertions} -{applied.deletions} lines"
    )
    place, branch = quoted(applied.workspace), brought.branch
    if branch is None:
        done = "The files hold the change already" if brought.already else "Changed"
        names = [f"  {one_line(name, 100)}" for name in brought.files[:FILES_MAX]]
        more = len(brought.files) - FILES_MAX
        return [f"{done}: {size}, in {place}", *names, *([f"  and {more} more"] * (more > 0))]
    done = "is there already" if brought.already else "is new"
    return [
        f"The branch {branch} {done} in {place}: {size}.",
        f"Look at it:  git -C {place} log -p HEAD..{branch}",
        f"Take it:     git -C {place} merge {branch}",
        f"Drop it:     git -C {place} branch -D {branch}",
    ]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
