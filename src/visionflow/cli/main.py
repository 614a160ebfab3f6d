"""The command line's entry: parse, run the command, end with its code. `commands` has them.

Errors become one message: what happened, why, what to do; a traceback comes only when asked for
with VISIONFLOW_DEBUG=1. A reader that goes away (`| head`) is no error.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from visionflow.cli.terminal import say, say_error
from visionflow.domain.errors import UsageError, VisionFlowError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

USAGE = 2
INTERNAL = 70
INTERRUPTED = 130
NOBODY_READS = 141
"""As a shell reports a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, `sys.argv` when none is given, and end the process with its code."""
    ending(lambda: _command(sys.argv[1:] if argv is None else argv))


def ending(command: Callable[[], int]) -> NoReturn:
    """Run a command and end the process with its code; errors are told as the module says."""
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
        _maybe_raise()
        say_error(error)
        code = error.status
    except Exception as error:
        _maybe_raise()
        say(
            f"visionflow: something that should not happen did: {type(error).__name__}: {error}. "
            "Set VISIONFLOW_DEBUG=1 to see where, and please report it."
        )
    _let_go_of_output()
    sys.exit(code)


def _command(argv: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from visionflow.cli.commands import make_app

    _refuse_empty_paths(argv)
    try:
        code = make_app()(_with_own_server(argv))
    except CycloptsError as error:
        _maybe_raise()
        say(f"visionflow: {_told(error)}")
        words = " ".join(("visionflow", *(error.command_chain or ()), "--help"))
        say(f"See `{words}`.")
        return USAGE
    return code if isinstance(code, int) else 0


def _with_own_server(argv: Sequence[str]) -> list[str]:
    """`run --server` without an address means this user's server."""
    words = list(argv)
    if words[:1] != ["run"]:
        return words
    for place, word in enumerate(words):
        last = place + 1 == len(words) or words[place + 1].startswith("-")
        if word == "--server" and last:
            words[place] = "--server=here"
    return words


def _refuse_empty_paths(argv: Sequence[str]) -> None:
    """An unset variable of a shell must not mean the current folder.

    Raises:
        UsageError: a path is the empty text.
    """
    joined = [word.partition("=")[::2] for word in argv if "=" in word]
    pairs = [*pairwise(argv), *joined]
    for option, value in pairs:
        if option in ("--out", "--workspace", "--agents", "--home", "--config") and not value:
            raise UsageError(f"{option} is empty.", hint="Is a variable of your shell not set?")


def _told(error: "CycloptsError") -> str:
    from cyclopts import UnusedCliTokensError

    if isinstance(error, UnusedCliTokensError):
        first = (error.unused_tokens or [""])[0]
        return f"{first!r} was not expected; a value of several words needs quotes."
    return str(error).strip()


def _open_what_is_closed() -> None:
    """Give a process started with `2>&-` something to write to, and a file no such number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")
            # It got the number that was free, which the orchestrator must find open too.
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _maybe_raise() -> None:
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
