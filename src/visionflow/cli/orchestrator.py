"""The program of the orchestrator: `python -P -m visionflow.cli.orchestrator`, started by a front.

It carries one run on from wherever its log stands, shows progress on standard error, and ends
with the run's exit code. The front tells it over a pipe to stop or to kill; at the pipe's end it
ends at once, and its workers with it, because the same holds between them and it.
"""

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import msgspec

from visionflow.cli.front import FAIL_STOP, HEARD, KILL, STOP, handed_over
from visionflow.cli.telling import unexpected
from visionflow.cli.terminal import say, say_error
from visionflow.domain.errors import VisionFlowError

ORDER = "VISIONFLOW_ORCHESTRATOR"
FRONT_GONE = 85
"""Nobody reads it: the front would."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run, and how to show that it goes on."""

    folder: str
    """The run's folder, absolute."""
    progress: bool = True


def main() -> NoReturn:
    """Carry the run on; ends the process."""
    stop, kill = threading.Event(), threading.Event()

    def on_end(number: int, frame: FrameType | None) -> None:
        stop.set()

    # The front heard Ctrl-C too and says over the pipe what it means. A handler, not SIG_IGN,
    # which worker processes would inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, on_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    code = FAIL_STOP
    try:
        order, pipe = handed_over(ORDER, Order, "The orchestrator of a run", "run")
        _listen(pipe, stop, kill)
        code = _execute(order, stop, kill)
    except VisionFlowError as error:
        say_error(error)
        code = error.status
    except Exception as error:
        say(unexpected(error))
        if os.environ.get("VISIONFLOW_DEBUG") == "1":
            say("".join(traceback.format_exception(error)))
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    # From in here: a thread that somebody left behind must not keep the process.
    os._exit(code)


def _listen(pipe: int, stop: threading.Event, kill: threading.Event) -> None:
    def listen() -> None:
        while said := os.read(pipe, 16):
            if STOP in said or KILL in said:
                stop.set()
            if KILL in said:
                kill.set()
        os._exit(FRONT_GONE)

    threading.Thread(target=listen, name="front", daemon=True).start()


def _execute(order: Order, stop: threading.Event, kill: threading.Event) -> int:
    from visionflow.cli.progress import showing
    from visionflow.compose.job import RunFolder, execute

    with showing(order.progress) as show:
        outcome = execute(RunFolder(order.folder), on_progress=show, stop=stop, kill=kill)
    return outcome.exit_code


if __name__ == "__main__":
    main()
