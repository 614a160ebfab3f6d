"""How every program of ours ends: with a code, and an error as one message.

What happened, why, what to do; a traceback comes only when asked for with VISIONFLOW_DEBUG=1. A
reader that goes away (`| head`) is no error.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from visionflow.cli.terminal import say, say_error
from visionflow.domain.errors import VisionFlowError

INTERNAL = 70
INTERRUPTED, TERMINATED = 130, 143
"""As a shell reports a program that SIGINT or SIGTERM ended."""
NOBODY_READS = 141
"""As a shell reports a program that SIGPIPE ended."""


def ending(command: Callable[[], int]) -> NoReturn:
    """Run a command and end the process with its code; errors are told as said above."""
    code = INTERNAL
    _open_what_is_closed()
    try:
        code = command()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Rich, which prints the help, turns a broken pipe into an exit; no command of ours exits.
        code = NOBODY_READS
    except KeyboardInterrupt:
        code = INTERRUPTED
    except VisionFlowError as error:
        maybe_raise()
        say_error(error)
        code = error.status
    except Exception as error:
        maybe_raise()
        say(
            f"visionflow: something that should not happen did: {type(error).__name__}: {error}. "
            "Set VISIONFLOW_DEBUG=1 to see where, and please report it."
        )
    _let_go_of_output()
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Give a process started with `2>&-` something to write to, and a file no such number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")
            # It got the number that was free, which the orchestrator must find open too.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def maybe_raise() -> None:
    """Show the traceback of the error at hand, for those who ask for it."""
    if os.environ.get("VISIONFLOW_DEBUG") == "1":
        import traceback

        say(traceback.format_exc().rstrip())


def _let_go_of_output() -> None:
    """What nobody reads must not be complained about when Python flushes it at the end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
