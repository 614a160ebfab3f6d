"""What a finished test command means: pytest's exit and the log, read against each other.

Neither is believed alone. An exit code of 0 without the log's end is a process that left in the
middle; a log without failures and an exit code of 1 is a plugin's verdict. Idea: first how the
command ended, then what pytest says of the session, and last the tests themselves.
"""

import re
from collections.abc import Sequence

import msgspec

from visionflow.agents.tools.missing import SHORTER_PATH, absent, absent_plugin
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import (
    CASES_MAX,
    SLOWEST_MAX,
    Case,
    Counts,
    Flaky,
    Outcome,
    TestRun,
)
from visionflow.agents.tools.testlog import TestLog, count
from visionflow.agents.tools.text import one_line
from visionflow.ports.sandbox import Completed

_MODULE = re.compile(r"\w+")
_ERROR = re.compile(r"^(?:E  |ERROR\b|[\w.]*(?:Error|Exception)\b)|\berror:")
_OF_COVERAGE = re.compile(r"CoverageWarning|self\._?warn\(")
_UNSAVED = re.compile(r"^(?:coverage\.exceptions\.\w+: )?Couldn't use data file.*", re.MULTILINE)
_LINKS_TOLD = 10
WALL_HINT = "`timeout` of the tester in agents.yaml sets the limit"
_INTERRUPTED, _INTERNAL, _USAGE, _NOTHING = 2, 3, 4, 5


def judge(log: TestLog, cases: Sequence[Case], done: Completed, project: Project) -> TestRun:
    """The outcome, its reason, the counts and the cases worth showing.

    `cases` are the log's, with what `cut_off` made of a crash.
    """
    bad = [case for case in cases if case.outcome in ("failed", "error")]
    outcome, reason = _outcome(log, cases, bad, done, project)
    ran = [case for case in cases if "::" in case.id]
    slowest = sorted(ran, key=lambda case: (-case.seconds, case.id))[:SLOWEST_MAX]
    missing = {case.missing for case in bad if _is_dependency(case.missing)}
    if outcome == "could_not_run" and not cases:
        missing |= {_absent(done, project)}
    counts, cut = count(cases), hanging(log, done)
    return TestRun(
        outcome, reason, counts, log.collected, tuple(bad[:CASES_MAX]), tuple(
            msgspec.structs.replace(case, message="") for case in slowest
        ),
        outcomes={case.id: case.outcome for case in cases},
        # A module that cannot be collected says nothing of how its tests would end.
        pass_rate=pass_rate(counts) if ran else None,
        missing=tuple(sorted(what for what in missing if what is not None)),
        notes=tuple(_notes(log, bad, done)),
        hanging=cut.id if cut is not None else None,
    )  # fmt: skip


def pass_rate(counts: Counts) -> float | None:
    """Passed over passed, failed and erroneous; `None` when none of them ran."""
    ran = counts.passed + counts.failed + counts.errors
    return round(counts.passed / ran, 6) if ran else None


def without_flaky(run: TestRun, flaky: Sequence[Flaky]) -> TestRun:
    """The run with these of its failures in quarantine, and judged by what is left.

    A failure that passes in another run is no verdict. Yet a run in which nothing else passed, or
    that did not come to its end, passes by no quarantine.
    """
    names = {each.id for each in flaky}
    left = [case for case in run.cases if case.id not in names]
    gone = [case.outcome for case in run.cases if case.id in names]
    counts = msgspec.structs.replace(
        run.counts, failed=run.counts.failed - gone.count("failed"),
        errors=run.counts.errors - gone.count("error"), flaky=len(gone),
    )  # fmt: skip
    faults = [case for case in left if case.missing is None]
    unshown = counts.failed + counts.errors - len(left)
    outcome, reason = run.outcome, run.reason
    if faults or unshown > 0:
        more = f"; {_missing(left)}" if len(faults) < len(left) else ""
        absent = [case.outcome for case in left if case.missing is not None]
        failed, errors = (
            counts.failed - absent.count("failed"),
            counts.errors - absent.count("error"),
        )
        outcome, reason = "failed", _numbers(failed, errors) + more
    elif left:
        outcome, reason = "could_not_run", _missing(left)
    elif _unfinished(run):
        outcome, reason = "could_not_run", "a flaky test kept others from coming to an end"
    elif not counts.passed + counts.xfailed:
        outcome, reason = "no_tests", "no test that ran can be relied on: all are flaky"
    else:
        outcome, reason = "passed", None
    return msgspec.structs.replace(
        run, outcome=outcome, reason=reason, counts=counts, cases=tuple(left),
        flaky=tuple(flaky), pass_rate=pass_rate(counts),
    )  # fmt: skip


def _unfinished(run: TestRun) -> bool:
    ended = sum("::" in name for name in run.outcomes)
    return run.collected is None or ended < run.collected


def _is_dependency(missing: str | None) -> bool:
    return missing is not None and not missing.startswith(SHORTER_PATH)


def _outcome(
    log: TestLog, cases: Sequence[Case], bad: Sequence[Case], done: Completed, project: Project
) -> tuple[Outcome, str | None]:
    faults = [case for case in bad if case.missing is None]
    if timed_out(log, done):
        cut = hanging(log, done)
        at = f"while {one_line(cut.id, 200)} ran" if cut else "outside of any test"
        told = f"the wall clock ended the tests {at}, after {done.wall_ms // 1_000} s"
        return "timed_out", f"{told}; {WALL_HINT}"
    if done.ended_by in ("memory", "cancelled"):
        where = f" while {one_line(log.current, 200)} ran" if log.current else ""
        return "could_not_run", f"the tests were ended by {done.ended_by}{where}"
    if faults:
        more = f"; {_missing(bad)}" if len(faults) < len(bad) else ""
        return "failed", _told(faults) + more
    if bad:
        return "could_not_run", _missing(bad)
    if done.exit_code == _INTERRUPTED and log.current is not None:
        return "could_not_run", f"the tests were interrupted while {one_line(log.current)} ran"
    if log.finished is None or done.exit_code in (_INTERRUPTED, _INTERNAL, _USAGE):
        return "could_not_run", _not_run(done, project)
    ran = [case for case in cases if case.outcome in ("passed", "xfailed")]
    if done.exit_code == _NOTHING or not ran:
        skipped = sum(case.outcome == "skipped" for case in cases)
        return "no_tests", f"all {skipped} were skipped" if skipped else "pytest found no tests"
    if done.exit_code != 0 and not (log.finished == 0 and unsaved(done)):
        return "failed", f"no test failed, yet pytest ended with exit code {done.exit_code}"
    return "passed", None


def unsaved(done: Completed) -> str | None:
    """What coverage said when it could not store its recording, after the tests were done."""
    said = _UNSAVED.search(f"{done.stdout}\n{done.stderr}")
    return one_line(said[0], 200) if said else None


def crashed(log: TestLog, done: Completed) -> Case | None:
    """A test during which the whole process ended by itself, as a case of its own."""
    if log.finished is not None or timed_out(log, done) or log.current is None:
        return None
    if done.exit_code is not None:
        how = f"the process exited with code {done.exit_code}"
    elif done.ended_by is not None and done.ended_by.startswith("signal:"):
        how = f"the process ended by {done.ended_by}"
    else:
        return None
    said = f"{how} while this test ran"
    return Case(log.current, "error", 0.0, said, said)


def timed_out(log: TestLog, done: Completed) -> bool:
    """Whether the wall clock ended the tests, gently or by force."""
    return done.ended_by == "wall_clock" or log.deadline_at is not None


def hanging(log: TestLog, done: Completed) -> Case | None:
    """The test that ran when the clock ended everything. No verdict on it, so not counted."""
    where = log.deadline_at or log.current
    if not timed_out(log, done) or not where:
        return None
    said = "the wall clock ended the tests while this one ran"
    return Case(where, "error", 0.0, said, said)


def _told(faults: Sequence[Case]) -> str:
    failed = sum(case.outcome == "failed" for case in faults)
    return _numbers(failed, len(faults) - failed)


def _numbers(failed: int, errors: int) -> str:
    parts = [f"{failed} failed"] * bool(failed)
    parts += [f"{errors} could not be set up, torn down or collected"] * bool(errors)
    return ", ".join(parts)


def _missing(bad: Sequence[Case]) -> str:
    """The absent dependencies, each with the first place that needs it; then a path's limits."""
    first: dict[str, str] = {}
    for case in bad:
        if case.missing is not None:
            first.setdefault(case.missing, case.id.partition("::")[0])
    parts: list[str] = []
    for kind, dependency in (("missing dependency", True), ("the path is too long here", False)):
        listed = {k: v for k, v in first.items() if _is_dependency(k) is dependency}
        if listed:
            parts.append(f"{kind}: {_listed(listed)}")
    if not all(map(_is_dependency, first)):
        parts.append("name a shorter output folder with --out DIR")
    return "; ".join(parts)


def _listed(first: dict[str, str]) -> str:
    told: list[str] = []
    for what, by in sorted(first.items())[:10]:
        if not _is_dependency(what):
            told.append(f"{what.removeprefix(SHORTER_PATH + ': ')} (met by {one_line(by, 120)})")
            continue
        verb = "imported" if _MODULE.fullmatch(what) else "needed"
        told.append(f"{what} ({verb} by {one_line(by, 120)})")
    more = f" and {len(first) - len(told)} more" if len(first) > len(told) else ""
    return ", ".join(told) + more


def _not_run(done: Completed, project: Project) -> str:
    """Why pytest gave up before it had results, from what it printed."""
    missing = _absent(done, project)
    if missing is not None:
        return f"missing dependency: {missing}"
    if done.exit_code == 0:
        return "pytest ended with exit code 0 and without a result: something ended it early"
    how = done.ended_by or f"exit code {done.exit_code}"
    return f"pytest could not run the tests ({how}): {_last_words(done)}"


def _last_words(done: Completed) -> str:
    """The line that most likely says why: the last error, without what coverage adds to it."""
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    said = [line for line in said if not _OF_COVERAGE.search(line)]
    errors = [line for line in said if _ERROR.search(line)]
    last = (errors or said or ["it printed nothing"])[-1]
    return one_line(last, 200)


def _absent(done: Completed, project: Project) -> str | None:
    text = f"{done.stdout}\n{done.stderr}"
    return absent_plugin(text) or absent(text, project)


def _notes(log: TestLog, bad: Sequence[Case], done: Completed) -> list[str]:
    notes: list[str] = []
    if log.stopped is not None:
        notes.append(f"the project's settings ended the tests early: {one_line(log.stopped, 200)}")
    notes += [
        f"no tests are taken through {one_line(link, 200)}, a link that leads up or out"
        for link in sorted(log.links)[:_LINKS_TOLD]
    ]
    if len(log.links) > _LINKS_TOLD:
        notes.append(f"{len(log.links) - _LINKS_TOLD} more such links")
    if len(bad) > CASES_MAX:
        notes.append(f"{len(bad) - CASES_MAX} more failures are only in junit.xml")
    progress = log.progress()
    total = log.collected
    if total is not None and progress.done < total and log.stopped is None:
        notes.append(f"{total - progress.done} of {total} tests did not come to an end")
    return notes
