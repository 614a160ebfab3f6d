"""`visionflow chaos`: bad things are done to a server of its own, and the guarantees are checked.

What is done and how it is judged is `visionflow.testing.chaos`' business; here it is told.
"""

import re
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from visionflow.cli.ending import INTERRUPTED, TERMINATED
from visionflow.cli.terminal import Paint, colours, is_terminal, say
from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.testing.chaos import ChaosReport, Progress
    from visionflow.testing.chaos.figures import Spread

CHAOS_EXAMPLES = """\
Examples:
  visionflow chaos --seed 7 --duration 60s
  visionflow chaos --seed 7 --duration 10m --tasks 10000 --json | jq .again_ms
  visionflow chaos --seed 7 --duration 60s --keep
"""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
DURATION_S = (1.0, 24 * 3_600.0)
TASKS_MAX = 1_000_000
AGENTS_MAX = 200
VIOLATED = 1


def chaos(
    *,
    seed: int = 0,
    duration: str = "60s",
    tasks: int | None = None,
    agents: int = 8,
    keep: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON object and nothing else.")
    ] = False,
) -> int:
    """Do bad things to a server of its own while it works, and check its guarantees.

    Workers are killed, stopped, starved and cut off, and the server is killed, by
    choices that repeat with the seed. In the end no task may be lost or completed
    twice, and no process be left. Exit code 1: a guarantee did not hold.

    Parameters
    ----------
    seed
        Which choices.
    duration
        Over so long tasks are handed in: seconds, or a time such as 10m.
    tasks
        How many; 1,000 for each minute where it is left out.
    agents
        How many agents work; a quarter of them have processes of their own.
    keep
        Leave the log and all else where it can be looked at, also when all is well.
    """
    from visionflow.cli.result import print_json
    from visionflow.testing.chaos import Order
    from visionflow.testing.chaos import chaos as run
    from visionflow.testing.chaos.plan import TASKS_PER_MINUTE

    seconds = _seconds(duration)
    wanted = round(TASKS_PER_MINUTE * seconds / 60) if tasks is None else tasks
    wanted = max(1, wanted) if tasks is None else wanted
    if seed < 0 or not 1 <= wanted <= TASKS_MAX or not 1 <= agents <= AGENTS_MAX:
        raise UsageError(
            f"--seed is a number from 0 on, --tasks from 1 to {TASKS_MAX}, --agents from 1 to "
            f"{AGENTS_MAX}."
        )
    order = Order(seed, seconds, wanted, agents)
    told, ended_by = _Told(), list[int]()

    def as_interrupt(number: int, frame: FrameType | None) -> None:
        ended_by.append(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt  # A shell's `&` made this process deaf to the other.
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, as_interrupt)
    try:
        report = run(order, keep=keep, on_progress=told)
    except KeyboardInterrupt:
        told.over()
        say("visionflow: Interrupted: nothing was checked, and none of its processes is left.")
        return TERMINATED if ended_by else INTERRUPTED
    finally:
        told.over()
        signal.signal(signal.SIGTERM, before)
    if json:
        print_json(report)
    else:
        print("\n".join(_lines(report, Paint(colours(sys.stdout)))))
    return VIOLATED if report.violations else 0


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    seconds = 0.0 if found is None else float(found[1]) * _UNITS_S[found[2] or "s"]
    if not DURATION_S[0] <= seconds <= DURATION_S[1]:
        raise UsageError(
            f"--duration is {text!r}.",
            hint="Seconds, or a time such as 90s, 10m or 1h; at least 1s and at most 24h.",
        )
    return seconds


class _Told:
    """Says how far it is: in place on a terminal, else now and then in a line."""

    def __init__(self) -> None:
        self._live = is_terminal(sys.stderr)
        self._next_s = 0.0

    def __call__(self, seen: "Progress") -> None:
        line = (
            f"{seen.seconds:,.0f} s: {seen.ended:,} of {seen.tasks:,} tasks ended, "
            f"{seen.faults} of {seen.planned} faults"
        )
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        elif seen.seconds >= self._next_s:
            self._next_s = seen.seconds + 30
            say(line)

    def over(self) -> None:
        """The line makes room."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _lines(report: "ChaosReport", paint: Paint) -> Iterator[str]:
    yield paint("bold", "Faults brought about") + "  (until what they struck down ran again)"
    for kind, found in report.faults.items():
        told = f"{found.times:>6,}  {kind.replace('_', ' ')}"
        if found.attempts_lost:
            told += f", {found.attempts_lost} attempts lost, again after {_spread(found.again)}"
        if found.answers is not None:
            told += f", answers after {_spread(found.answers)}"
        yield told
    for each in report.missed:
        yield paint("unsure", f"        not done: {each}")
    yield paint("bold", "Tasks")
    for status, count in report.by_status.items():
        yield f"{count:>6,}  {status.replace('_', ' ')}"
    yield f"{report.attempts:>6,}  attempts, {report.results_refused} late results refused"
    yield f"{report.lost:>6,}  lost"
    yield f"{report.completed_twice:>6,}  completed twice"
    yield paint("bold", "Processes")
    yield f"{report.server_starts:>6,}  starts of the server"
    yield f"{report.worker_starts:>6,}  starts of workers"
    yield f"{len(report.left_over):>6,}  left over"
    if report.ending_ms is not None:
        yield f"        ends in order took {_spread(report.ending_ms)}"
    yield f"Until tasks ran again: {_spread(report.again_ms)}."
    for each in report.violations:
        yield paint("bad", f"Violated: {each}")
    if report.folder is not None:
        yield f"Kept: {report.folder}"
    tasks = f"{report.acknowledged:,} tasks, {report.seconds:,.0f} s"
    if report.violations:
        yield paint("bad", "The guarantees do not hold") + f": {tasks}. Again: {report.again}"
    else:
        yield paint("good", "The guarantees hold") + f": {tasks}."


def _spread(found: "Spread | None") -> str:
    if found is None:
        return "nothing to measure"
    return f"{found.median_ms / 1_000:.2f} s in the median, {found.worst_ms / 1_000:.2f} s at worst"
