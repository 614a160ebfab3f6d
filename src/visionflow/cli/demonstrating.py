"""Carries out `visionflow demo`: an audit of planted faults, and the proof of what it mended.

The run is that of `visionflow run`; what is planted, found and gone is measured by
`compose.demo`, and only told here.
"""

import io
import os
import sys
import tempfile
import time
from contextlib import ExitStack, redirect_stdout
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from visionflow.agents.tools.text import one_line, show_path
from visionflow.cli.result import print_json
from visionflow.cli.running import run_in_foreground
from visionflow.cli.terminal import Paint, colours, say
from visionflow.compose.job import FINISHED, RunFolder, create_run
from visionflow.domain.errors import Refused, UsageError

if TYPE_CHECKING:
    from visionflow.compose.demo.manifest import Fault
    from visionflow.compose.demo.showing import Found, Stage, Verified

FAILED = 1
LINE_MAX = 100
PROBLEM_MAX = 300


class Outcome(NamedTuple):
    """What is told at the end."""

    stage: "Stage"
    run: RunFolder
    found: "Found"
    verified: "Verified | None"
    problem: str | None
    """Why the demonstration is not what it should be, one sentence."""
    seconds: float


def demonstrate(keep: Path | None, as_json: bool) -> int:
    """Show it, below `keep` or in a temporary folder that goes with it; the exit code.

    Raises:
        UsageError: there is something in `keep`.
        VisionFlowError: whatever the run raises.
    """
    began = time.monotonic()
    with ExitStack() as held:
        if keep is None:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="visionflow-")))
        else:
            folder = _new(keep)
        return _show(folder, keep is not None, as_json, began)


def _new(keep: Path) -> Path:
    folder = Path(os.path.abspath(keep))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty.", hint="Name a folder that is new or empty with --keep DIR."
        )
    return folder


def _show(folder: Path, kept: bool, as_json: bool, began: float) -> int:
    from visionflow.compose.demo.showing import GOAL, look_at_run, set_stage

    stage = set_stage(folder)
    paint = Paint(colours(sys.stdout))
    if not as_json:
        print("\n".join(_opening(stage, GOAL, paint)), flush=True)
    # The sample's only dependency comes with VisionFlow; another environment may lack it.
    os.environ.pop("VIRTUAL_ENV", None)
    # It is our own code, so it also runs where nothing can confine it.
    run = create_run(GOAL, stage.project, stage.runs, True, cache=False)
    with redirect_stdout(io.StringIO()) if as_json else ExitStack():
        code = run_in_foreground(run, as_json=False, progress=not as_json)
    if run.read_record().status not in FINISHED:
        if not kept:
            say("The demonstration was stopped and its folder goes: begin anew, do not resume.")
        return code
    found = look_at_run(run, stage.manifest)
    if not as_json:
        print("\n".join(["", *_told_found(stage, found, paint)]), flush=True)
    verified, problem = _mend(stage, run, found, as_json)
    outcome = Outcome(stage, run, found, verified, problem, time.monotonic() - began)
    if as_json:
        print_json(as_object(outcome, kept))
    else:
        print("\n".join(_closing(outcome, kept, paint)), flush=True)
    return FAILED if problems_of(outcome) else 0


def _mend(
    stage: "Stage", run: RunFolder, found: "Found", quiet: bool
) -> "tuple[Verified | None, str | None]":
    """Apply the coder's patch and look again; why not, where it cannot be."""
    from visionflow.compose.applying import apply_run
    from visionflow.compose.demo.showing import verify

    change = found.facts.change
    if change is None or change.outcome != "changed":
        why = "no coder came to an end" if change is None else str(change.reason)
        return None, f"There is no patch to apply: {one_line(why, LINE_MAX)}."
    try:
        apply_run(run, to_working_tree=True)
    except Refused as error:
        return None, f"The patch was not applied: {one_line(error.message, LINE_MAX)}"
    if not quiet:
        say("Looking at the patched files anew: the tests and every tool, nothing reused.")
    with tempfile.TemporaryDirectory(prefix="visionflow-") as scratch:
        return verify(stage, found, Path(scratch)), None


def _opening(stage: "Stage", goal: str, paint: Paint) -> list[str]:
    classes = {fault.planted.class_ for fault in stage.faults}
    size = f"{stage.manifest.files} files, {len(stage.faults)} faults of {len(classes)} kinds"
    return [
        paint("bold", "A small booking service, with faults planted in it on purpose."),
        f"{size}; no model, no key, no network.",
        f'Now: visionflow run "{goal}"',
    ]


def _told_found(stage: "Stage", found: "Found", paint: Paint) -> list[str]:
    """Each class with what was found of it, in two columns; then what should not be."""
    cells: list[str] = []
    for row in found.evaluation.rows:
        if _ids(stage, row.class_):
            told = f"{row.found} of {row.planted}"
            style = "good" if row.found == row.planted else "bad"
            cells.append(f"  {row.class_:<24}{paint(style, told)}{' ' * (10 - len(told))}")
    half = (len(cells) + 1) // 2
    columns = zip_longest(cells[:half], cells[half:], fillvalue="")
    bad = [f"missed: {each}" for each in found.evaluation.missed]
    bad += [f"invented: {each}" for each in found.evaluation.invented]
    bad += [f"leaked: {each}" for each in found.leaked]
    return [
        paint("bold", "What is planted, and what the run found of it"),
        *((one + other).rstrip() for one, other in columns),
        *(paint("bad", f"  {one_line(each, LINE_MAX)}") for each in bad),
    ]


def _ids(stage: "Stage", name: str) -> list[str]:
    return [each.planted.id for each in stage.faults if each.planted.class_ == name]


def _closing(outcome: Outcome, kept: bool, paint: Paint) -> list[str]:
    lines = ["", paint("bold", "What is really gone, by looking at the patched files anew")]
    verified = outcome.verified
    if verified is not None:
        lines += [f"  gone  {_phrase(fault)}" for fault in verified.gone]
        lines += [paint("bad", f"  new   {one_line(each, LINE_MAX)}") for each in verified.new]
        lines += _tests_told(outcome)
        lines += _patch_told(outcome)
    problems = problems_of(outcome)
    lines += ["", paint("bad" if problems else "good", _sum(outcome))]
    lines += [paint("bad", f"  {one_line(problem, PROBLEM_MAX)}") for problem in problems]
    lines += _gates_told(outcome)
    where = (
        f"All of it stays in {show_path(str(outcome.stage.folder))}."
        if kept
        else "Nothing of it stays; `visionflow demo --keep DIR` keeps project, patch and report."
    )
    lines.append(where)
    return lines


def _phrase(fault: "Fault") -> str:
    place = one_line(f"{show_path(fault.path or '')}:{fault.line}", LINE_MAX)
    rules = " ".join(rule.replace(":", " ") for rule in fault.planted.rules)
    return f"{fault.planted.class_:<18}{place:<36} {rules}"


def _tests_told(outcome: Outcome) -> list[str]:
    told: list[str] = []
    facts = [outcome.found.facts, outcome.verified.facts if outcome.verified else None]
    for when, each in zip(("before", "after"), facts, strict=True):
        tests = each.tests if each is not None else None
        if tests is not None:
            counts, ordered = tests.counts, len(tests.order_dependent)
            only = f" ({ordered} only after other tests)" if ordered else ""
            failed = counts.failed + counts.errors
            told.append(
                f"{when} {counts.passed} passed, {failed} failed{only}, {len(tests.flaky)} flaky"
            )
    return [f"  tests {each}" for each in told]


def _gates_told(outcome: Outcome) -> list[str]:
    """That the run's own verdict is no fault of the demonstration's."""
    summary = outcome.run.read_summary() or {}
    gates: dict[str, bool | None] = summary.get("gates") or {}
    failed = [name for name, value in gates.items() if value is False]
    if not failed:
        return []
    told = "gate " + failed[0] if len(failed) == 1 else "gates " + ", ".join(failed)
    return [f"The run's {told} failed, as expected: what is left is for a person to mend."]


def _patch_told(outcome: Outcome) -> list[str]:
    facts = outcome.found.facts
    change, vote = facts.change, facts.vote
    if change is None:
        return []
    lines = f"{change.insertions} lines in, {change.deletions} out"
    told = [f"  patch {len(change.commits)} commits, {len(change.files)} files, {lines}"]
    if vote is not None:
        choices = [ballot.choice for ballot in vote.ballots]
        counts = ", ".join(f"{choices.count(each)} {each}" for each in sorted(set(choices)))
        told.append(f"  vote  {vote.decision or 'open'}: {counts or 'no ballot'}")
    return told


def _sum(outcome: Outcome) -> str:
    found, verified = _found_ids(outcome), outcome.verified
    gone = "unknown" if verified is None else len(verified.gone)
    left = "unknown" if verified is None else len(verified.left)
    return (
        f"planted {len(outcome.stage.faults)}, found {len(found)}, fixed and verified gone {gone}, "
        f"left for a person {left} ({outcome.seconds:.0f} s)"
    )


def _found_ids(outcome: Outcome) -> list[str]:
    known = set(outcome.found.evaluation.found)
    return [f.planted.id for f in outcome.stage.faults if f.planted.id in known]


def problems_of(outcome: Outcome) -> list[str]:
    """What is not as it should be; none when the demonstration did what it says."""
    found, verified = outcome.found, outcome.verified
    problems = [] if outcome.problem is None else [outcome.problem]
    missed = sorted({f.planted.id for f in outcome.stage.faults} - set(_found_ids(outcome)))
    if missed:
        problems.append(f"Not found: {', '.join(missed)}.")
    tasks = [task for task in found.facts.tasks if task.status != "completed"]
    problems += [f"{task.title}: {task.status}, {task.reason}." for task in tasks]
    if found.evaluation.invented:
        problems.append(f"Reported and not planted: {len(found.evaluation.invented)}.")
    if found.leaked:
        problems.append(f"Leaked into the outputs: {', '.join(found.leaked)}.")
    if verified is not None:
        kept = [fault.planted.id for fault in verified.left if fault.planted.fixable]
        if kept:
            problems.append(f"Could have been mended and was not: {', '.join(kept)}.")
        if verified.new:
            problems.append(f"New in the patched files: {len(verified.new)}.")
    return problems


def as_object(outcome: Outcome, kept: bool) -> dict[str, Any]:
    """What `--json` prints."""
    evaluation, verified = outcome.found.evaluation, outcome.verified
    return {
        "run": outcome.run.run,
        "out": str(outcome.run.path) if kept else None,
        "workspace": str(outcome.stage.project) if kept else None,
        "planted": len(outcome.stage.faults),
        "found": len(_found_ids(outcome)),
        "gone": None if verified is None else [f.planted.id for f in verified.gone],
        "left": None if verified is None else [f.planted.id for f in verified.left],
        "new": None if verified is None else list(verified.new),
        "missed": list(evaluation.missed),
        "invented": list(evaluation.invented),
        "leaked": list(outcome.found.leaked),
        "problems": problems_of(outcome),
        "classes": [
            {
                "class": row.class_,
                "planted": row.planted,
                "found": row.found,
                "missed": list(row.missed),
                "invented": list(row.invented),
            }
            for row in evaluation.rows
        ],
        "seconds": round(outcome.seconds, 3),
    }
