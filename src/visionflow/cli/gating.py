"""`visionflow gate`: its words, carried out in this process, the answer in the form asked for."""

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from visionflow.agents.gate.results import GateResult
    from visionflow.compose.gate.request import GateRequest

FLAG = Parameter(negative=())
Format = Literal["text", "json", "sarif", "github"]
GATE_EXAMPLES = """\
Examples:
  visionflow gate --base origin/main
  visionflow gate --base HEAD --tests none
  visionflow gate --base HEAD~1 --format json | jq '.findings.new'
  visionflow gate --base main --baseline gate.json --format github
"""
SLOW_S = 1.0
"""Before that, progress would only flicker."""
_CLEAR = "\r\x1b[K"


def gate(
    *,
    base: str = "HEAD",
    workspace: Path | None = None,
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    format: Format = "text",
    fail_on: Literal["low", "medium", "high", "critical"] = "low",
    tests: Literal["affected", "all", "none"] = "affected",
    allow_lost_tests: Annotated[bool, FLAG] = False,
    require_tests: Annotated[bool, FLAG] = False,
    require_tools: Annotated[bool, FLAG] = False,
    min_coverage: float | None = None,
    timeout: float = 600.0,
    direct: Annotated[bool, FLAG] = False,
    trust: Annotated[bool, FLAG] = False,
    no_cache: Annotated[bool, FLAG] = False,
) -> int:
    """Say what a change brings that was not there: findings, broken tests, lines no test runs.

    The working tree as it stands, uncommitted and untracked files too, is held against base.
    Ends with 1 when something is new, 0 when nothing is. The workspace is only read.

    Parameters
    ----------
    base
        A branch, tag or commit; what counts is where HEAD left it (the merge base).
    workspace
        A folder of a git working tree; the current one when not given.
    baseline
        A file with findings that may stay.
    write_baseline
        Write such a file: what is new now may stay from here on.
    format
        text, json (one object), sarif, or github (workflow commands).
    fail_on
        The least severity that fails the gate.
    tests
        Which tests to run: those that the change can reach, all, or none.
    allow_lost_tests
        Tell of tests that passed on base and are gone, skipped or expected to fail, and pass.
    require_tests
        Fail also when it cannot be told how the tests go.
    require_tools
        Fail also when a tool did not look at all that changed.
    min_coverage
        Fail when less than this percentage of the changed lines ran.
    timeout
        Seconds that a run of the tests may take.
    direct
        Compare with base itself, not with where HEAD left it.
    trust
        Run tools and tests also where nothing here can confine them. Remembered.
    no_cache
        Reuse nothing that was found out before.
    """
    import os

    from visionflow.compose.gate.request import GateRequest
    from visionflow.compose.job import remember_trust, trusted

    if min_coverage is not None and not 0 <= min_coverage <= 100:
        raise UsageError("--min-coverage is a percentage, from 0 to 100.")
    if not timeout > 0:
        raise UsageError("--timeout is a number of seconds above zero.")
    place = workspace or Path()
    request = GateRequest(
        workspace=place,
        base=base,
        direct=direct,
        baseline=baseline,
        write_baseline=write_baseline,
        tests=tests,
        fail_on=fail_on,
        min_coverage=min_coverage,
        allow_lost=allow_lost_tests,
        require_tests=require_tests,
        require_tools=require_tools,
        cache=not no_cache,
        trusted=trust or trusted(place),
        tests_s=timeout,
        virtual_env=os.environ.get("VIRTUAL_ENV"),
    )
    if trust:
        remember_trust(place)
    return gate_and_print(request, format)


def gate_and_print(request: "GateRequest", form: Format) -> int:
    """Run the gate, print to standard output, return the exit code: 0 clean, 1 something new."""
    import asyncio

    from visionflow.adapters.confine import OsSandbox
    from visionflow.compose.gate.running import run_gate

    with _Told() as told:
        result = asyncio.run(run_gate(request, OsSandbox(), told.at))
    code = 0 if result.clean else 1
    sys.stdout.write(_text(result, form, code))
    sys.stdout.flush()
    return code


def _text(result: "GateResult", form: Format, code: int) -> str:
    from visionflow.agents.gate import machine, shown
    from visionflow.cli.terminal import Paint, colours

    if form == "json":
        return machine.as_json(result, code).decode()
    if form == "sarif":
        return machine.as_sarif(result).decode()
    if form == "github":
        return machine.as_github(result)
    return shown.as_text(result, Paint(colours(sys.stdout)))


class _Told:
    """One line on a terminal that says what is being done, once that takes long."""

    def __init__(self) -> None:
        self._stage = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "_Told":
        from visionflow.cli.terminal import is_terminal

        if is_terminal(sys.stderr):
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def at(self, stage: str) -> None:
        """What is done now."""
        self._stage = stage

    def _tell(self) -> None:
        began = time.monotonic()
        if self._ended.wait(SLOW_S):
            return
        with suppress(OSError, ValueError):
            while not self._ended.wait(0.5):
                seconds = int(time.monotonic() - began)
                sys.stderr.write(f"{_CLEAR}gate: {self._stage}, {seconds} s")
                sys.stderr.flush()
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
