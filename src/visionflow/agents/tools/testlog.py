"""Reads the log that `testlog_plugin` wrote: what ran, how it ended, where it stopped.

The log was written inside foreign code's reach, so every line is parsed strictly and a line that
does not fit is dropped. What the whole means is `testing`'s job.
"""

import json
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from visionflow.agents.tools.missing import absent, too_long
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Case, CaseOutcome, Counts, Progress
from visionflow.agents.tools.text import clean, one_line, tail

LOG_BYTES_MAX = 64 * 1024 * 1024
_WORST: dict[CaseOutcome, int] = {"passed": 0, "xfailed": 1, "skipped": 2, "failed": 3, "error": 4}
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_EXCEPTION = re.compile(r"[\w.]*(?:Error|Exception|Warning|Exit|Interrupt|Iteration)\w*(?::|$)")
_Kind = Literal[
    "start", "collected", "collect_error", "collect_skip", "link", "test", "report", "finish",
    "deadline",
]  # fmt: skip


class _Line(msgspec.Struct):
    """One event of the plugin."""

    kind: _Kind
    id: str = ""
    text: str = ""
    line: str | None = None
    count: int = 0
    when: str | None = None
    outcome: str = ""
    seconds: float = 0.0
    xfail: bool = False
    exit: int | None = None
    stopped: str | None = None
    pytest: str | None = None


class _Running:
    """A test while its reports come in."""

    def __init__(self) -> None:
        self.outcome: CaseOutcome | None = None
        self.seconds = 0.0
        self.text = ""
        self.line = ""
        self.ended = False

    def add(self, line: _Line) -> None:
        """Count one phase in; the worst one is the test's outcome."""
        self.seconds += max(0.0, line.seconds)
        self.ended = self.ended or line.when == "teardown"
        outcome = _outcome_of(line)
        if outcome is None:
            return
        if self.outcome is None or _WORST[outcome] > _WORST[self.outcome]:
            self.outcome, self.text, self.line = outcome, line.text, line.line or ""


class TestLog:
    """All events so far. Feed it bytes as they come."""

    __test__ = False

    def __init__(self) -> None:
        self.collected: int | None = None
        self.started = False
        self.finished: int | None = None
        self.stopped: str | None = None
        self.deadline_at: str | None = None
        self.current: str | None = None
        self.pytest: str | None = None
        self.links: set[str] = set()
        """Links to folders that were not followed."""
        self._tests: dict[str, _Running] = {}
        self._modules: dict[str, Case] = {}
        self._rest = b""
        self._bytes = 0

    def feed(self, content: bytes) -> None:
        """Take more of the log; an unfinished last line waits for its end."""
        room = LOG_BYTES_MAX - self._bytes
        self._bytes += min(len(content), max(0, room))
        *lines, self._rest = (self._rest + content[: max(0, room)]).split(b"\n")
        for raw in lines:
            try:
                line = msgspec.convert(json.loads(raw), type=_Line)
            except (ValueError, RecursionError):
                continue
            self._take(line)

    def _take(self, line: _Line) -> None:
        match line.kind:
            case "start":
                self.started, self.pytest = True, line.pytest
            case "collected":
                self.collected = line.count
            case "collect_error" | "collect_skip":
                outcome: CaseOutcome = "error" if line.kind == "collect_error" else "skipped"
                self._modules[line.id] = Case(line.id, outcome, 0.0, line.text)
            case "link":
                self.links.add(line.id)
            case "test":
                self.current = line.id
                self._tests.setdefault(line.id, _Running())
            case "report":
                self._tests.setdefault(line.id, _Running()).add(line)
                if line.when == "teardown" and self.current == line.id:
                    self.current = None
            case "finish":
                self.finished, self.stopped = line.exit, line.stopped
            case "deadline":
                self.deadline_at = self.deadline_at or line.id

    def progress(self) -> Progress:
        """How far it is."""
        ended = [test for test in self._tests.values() if test.ended]
        failed = sum(test.outcome in ("failed", "error") for test in ended)
        return Progress(len(ended), self.collected, self.current, failed)

    def cases(self, project: Project, folders: tuple[str, ...], temporary: str = "") -> list[Case]:
        """Everything that has an outcome, by id. A test that did not end is not among them.

        Texts are the same in every run of the same tree: no addresses, and none of `folders`,
        which are this run's own, the worktree first. `temporary`: the system's folder for files
        of the moment.
        """
        found = [
            Case(name, test.outcome, test.seconds, test.text, test.line)
            for name, test in self._tests.items()
            if test.outcome is not None and (test.ended or test.outcome in ("failed", "error"))
        ]
        every = (*self._modules.values(), *found)
        limited = (*folders, temporary)
        shown = (_presented(case, project, folders, limited) for case in every)
        return sorted(shown, key=lambda case: case.id)

    def unfinished(self) -> list[str]:
        """Tests that began and never ended."""
        return sorted(name for name, test in self._tests.items() if not test.ended)


def count(cases: Iterable[Case]) -> Counts:
    """How many ended how."""
    numbers: dict[CaseOutcome, int] = dict.fromkeys(_WORST, 0)
    for case in cases:
        numbers[case.outcome] += 1
    return Counts(
        numbers["passed"], numbers["failed"], numbers["error"], numbers["skipped"],
        numbers["xfailed"],
    )  # fmt: skip


def _outcome_of(line: _Line) -> CaseOutcome | None:
    """One phase's outcome; `None` for what decides nothing, such as a rerun."""
    if line.outcome == "skipped":
        return "xfailed" if line.xfail else "skipped"
    if line.outcome == "failed":
        return "failed" if line.when == "call" else "error"
    return "passed" if line.outcome == "passed" and line.when == "call" else None


def _presented(
    case: Case, project: Project, folders: tuple[str, ...], limited: tuple[str, ...]
) -> Case:
    """The case with its text cleaned and, for a failure, what is missing."""
    bad = case.outcome in ("failed", "error")
    missing = absent(case.message, project) or too_long(case.message, limited) if bad else None
    message = _repeatable(case.message, folders)
    summary = one_line(_repeatable(case.summary, folders)) or one_line(_error_line(message))
    return Case(
        clean(case.id)[:500], case.outcome, round(case.seconds, 6), tail(message), summary, missing
    )  # fmt: skip


def _repeatable(text: str, folders: tuple[str, ...]) -> str:
    for folder in folders:
        text = text.replace(folder + "/", "").replace(folder, ".")
    return _ADDRESS.sub("0x…", text)


def _error_line(text: str) -> str:
    """The line that names the last exception, else the last one that pytest marks, or the last."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    named = [line for line in marked if _EXCEPTION.match(line)]
    return (named or marked or lines or [""])[-1]
