"""Terminal: saying a line on standard error, colours where they are wanted, text made harmless.

Standard output is left to results. What a repository had a hand in never steers a terminal:
everything said goes through `plain`.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from visionflow.agents.tools.text import clean
from visionflow.domain.errors import VisionFlowError

STYLES = {"bad": "31", "good": "32", "unsure": "33", "faint": "2", "bold": "1"}
SHOW_CURSOR = "\r\x1b[?25h\x1b[0m\x1b[J"


def plain(text: str) -> str:
    """`text` without control characters, tabs and newlines kept."""
    return clean(text)


def say(text: str) -> None:
    """Write a line to standard error; whoever does not read it misses it, and nothing fails."""
    with suppress(OSError, ValueError):
        sys.stderr.write(plain(text) + "\n")
        sys.stderr.flush()


def show_cursor() -> None:
    """Undo what a live display that was killed did to the terminal."""
    if is_terminal(sys.stderr):
        with suppress(OSError, ValueError):
            sys.stderr.write(SHOW_CURSOR)
            sys.stderr.flush()


def say_error(error: VisionFlowError) -> None:
    """What happened, why, and what to do."""
    say(f"visionflow: {error}")


def colours(stream: IO[str], env: Mapping[str, str] | None = None) -> bool:
    """Whether to write colours to `stream`: NO_COLOR, then FORCE_COLOR, then a real terminal."""
    env = os.environ if env is None else env
    if env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and env.get("TERM") != "dumb"


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person looks at it."""
    try:
        return stream.isatty()
    except ValueError:
        return False


class Paint:
    """Wraps words in a colour, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, style: str, text: str) -> str:
        """`text` in a style of `STYLES`."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._on else text
