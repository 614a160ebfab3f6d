"""The command line's entry: parse, run the command, end with its code. `commands` has them."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, get_args

from visionflow.cli.ending import ending, maybe_raise
from visionflow.cli.terminal import say
from visionflow.domain.errors import UsageError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

USAGE = 2


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, `sys.argv` when none is given, and end the process with its code."""
    ending(lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from visionflow.cli.commands import make_app

    _refuse_empty_paths(argv)
    try:
        code = make_app()(_with_own_server(argv))
    except CycloptsError as error:
        maybe_raise()
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


_PATHS = ("--out", "--workspace", "--agents", "--home", "--config", "--to")


def _refuse_empty_paths(argv: Sequence[str]) -> None:
    """An unset variable of a shell must not mean the current folder.

    Raises:
        UsageError: a path is the empty text.
    """
    joined = [word.partition("=")[::2] for word in argv if "=" in word]
    pairs = [*pairwise(argv), *joined]
    for option, value in pairs:
        if option in _PATHS and not value:
            raise UsageError(f"{option} is empty.", hint="Is a variable of your shell not set?")


def _told(error: "CycloptsError") -> str:
    from cyclopts import MissingArgumentError, UnusedCliTokensError

    if isinstance(error, MissingArgumentError) and error.keyword is None:
        argument = error.argument
        if argument is not None and not argument.tokens:
            words = [str(word) for word in get_args(argument.hint) if isinstance(word, str)]
            choice = f"; it is one of {', '.join(words)}" if words else ""
            return f"{argument.name} has to be given{choice}."
    if isinstance(error, UnusedCliTokensError):
        first = (error.unused_tokens or [""])[0]
        return f"{first!r} was not expected; a value of several words needs quotes."
    return str(error).strip()
