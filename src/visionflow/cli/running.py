"""A run in the foreground: own it, let a front keep its orchestrator going, then tell the result.

One process at a time may do that for a run. A run that was killed is waited for: its orchestrator
ends by itself with its front, and what it left is ended before another one begins.
"""

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from visionflow.adapters.lock import Lock, acquire, owner
from visionflow.cli import descendants
from visionflow.cli.ending import INTERRUPTED, TERMINATED
from visionflow.cli.front import FAIL_STOP, Ending, Front, how_it_ended
from visionflow.cli.orchestrator import ORDER, Order
from visionflow.cli.result import is_finished, resume_command, show_result
from visionflow.cli.terminal import say
from visionflow.compose.job import RunFolder
from visionflow.domain.errors import StoreInUse

MARK = "VISIONFLOW_RUN_FOLDER"
"""In the environment of everything that a run starts, so that what is left of it is found."""
ENDING_S_MAX = 10.0
"""An orchestrator whose front was killed ends at once; a machine may be slow."""
LEFTOVER_GRACE_S = 2.0
POLL_S = 0.02


def run_in_foreground(folder: RunFolder, *, as_json: bool, progress: bool) -> int:
    """Carry a run on until it ends or is stopped, print its result, return the exit code.

    Raises:
        StoreInUse: another living process works on this run.
    """
    if is_finished(folder):
        show_result(folder, as_json)
        return _code_of(folder)
    with _own(folder):
        _end_leftovers(folder)

        def end_the_rest() -> None:
            if not descendants.adopts():
                descendants.end_recorded(folder.state / "log.db")

        ending = Front(_argv(), _environment(folder, progress)).run(end_the_rest)
    return _finish(folder, ending, as_json)


def _code_of(folder: RunFolder) -> int:
    """The exit code that a finished run stands for."""
    from visionflow.compose.job import outcome_of

    return outcome_of(folder.read_summary() or {}).exit_code


def _own(folder: RunFolder) -> Lock:
    path = folder.state / "front.lock"
    try:
        return acquire(path)
    except StoreInUse as error:
        raise _in_use(folder, path) from error


def _in_use(folder: RunFolder, lock: Path) -> StoreInUse:
    who = owner(lock)
    named = "another process" if who is None else f"process {who.pid}"
    return StoreInUse(
        f"The run {folder.run} is being worked on by {named}.",
        hint=f"Wait for it, or stop it{'' if who is None else f' with `kill {who.pid}`'}; "
        f"`visionflow show {folder.run}` tells how far it is.",
    )


def _end_leftovers(folder: RunFolder) -> None:
    """See to it that nothing of a killed front lives on; recovery then ends recorded workers."""
    lock = folder.state / "owner.lock"
    deadline = time.monotonic() + ENDING_S_MAX
    while owner(lock) is not None:
        if time.monotonic() > deadline:
            raise _in_use(folder, lock)
        time.sleep(POLL_S)
    descendants.end_marked(MARK, str(folder.path), LEFTOVER_GRACE_S)


def _argv() -> list[str]:
    return [sys.executable, "-P", "-m", "visionflow.cli.orchestrator"]


def _environment(folder: RunFolder, progress: bool) -> dict[str, str]:
    order = msgspec.json.encode(Order(str(folder.path), progress)).decode()
    return {**os.environ, MARK: str(folder.path), ORDER: order}


def _finish(folder: RunFolder, ending: Ending, as_json: bool) -> int:
    done = is_finished(folder)
    if done or as_json:
        show_result(folder, as_json)
    if ending.left:
        pids = ", ".join(map(str, ending.left))
        say(f"visionflow: killed processes that the kernel does not let go yet: {pids}.")
    if done:
        return _code_of(folder)
    # 0 and 1 are what a finished run says; one that broke off must not be taken for it.
    code = ending.code if ending.code > 1 else FAIL_STOP
    if ending.asked is not None:
        code = INTERRUPTED if ending.asked == signal.SIGINT else TERMINATED
    elif ending.gave_up:
        say(
            f"visionflow: the orchestrator {how_it_ended(ending.code)}, too often in a minute to "
            f"start it once more. Nothing acknowledged is lost; see {folder.state}."
        )
    if ending.asked is not None or ending.gave_up or code in (INTERRUPTED, FAIL_STOP):
        say(f"Resume with: {resume_command(folder)}")
    return code
