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
  visionflow apply run_1795855550167 candidate-2
  git diff HEAD...visionflow/run_1795855550167
"""
FILES_MAX = 10


def apply(
    name: Annotated[str, Parameter(name="RUN")],
    candidate: Annotated[str | None, Parameter(name="CANDIDATE")] = None,
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

    The branch is visionflow/RUN, or visionflow/RUN-CANDIDATE. Nothing is merged, pushed or checked
    out, and no branch that is there is moved. What a gate, the reviewers' vote or a judgement
    turned down needs --force. A call that was killed is completed by the same call.

    Parameters
    ----------
    name
        The run's name, or how it begins.
    candidate
        Another than the one that the run takes, where several agents did the same: its task such
        as candidate-2, how that begins, or its number. It may be taken before the run is over.
    to_working_tree
        Change the files themselves instead, all or none, where each is as the run found it; the
        way for a folder without git.
    force
        Bring it in although it was turned down.
    """
    from visionflow.cli.result import print_json
    from visionflow.cli.terminal import say
    from visionflow.compose.applying import apply_run
    from visionflow.compose.job import find_run

    folder = find_run(out, name)
    applied = apply_run(folder, candidate, to_working_tree=to_working_tree, force=force)
    if json:
        print_json(object_of(applied))
        return 0
    if applied.forced is not None:
        say(f"It was turned down, and is brought in all the same: {applied.forced}")
    print("\n".join(lines_of(applied)), flush=True)
    for told in told_of(applied):
        say(told)
    return 0


def told_of(applied: "Applied") -> list[str]:
    """What somebody has to know beside what was done."""
    from visionflow.agents.tools.text import one_line

    brought = applied.brought
    told = list(applied.notes)
    if brought.outward:
        names = ", ".join(one_line(name, 100) for name in brought.outward[:FILES_MAX])
        more = len(brought.outward) - FILES_MAX
        rest = f" and {more} more" if more > 0 else ""
        told.append(f"Links that lead out of the workspace or into its .git: {names}{rest}.")
    if brought.moved_on:
        told.append(
            "HEAD is another commit now than when the run began; the branch stands on the old one."
        )
    return told


def object_of(applied: "Applied") -> dict[str, object]:
    """What `--json` prints."""
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
        "candidate": applied.candidate,
        "links_out": list(brought.outward),
        "notes": list(applied.notes),
    }


def lines_of(applied: "Applied") -> list[str]:
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
