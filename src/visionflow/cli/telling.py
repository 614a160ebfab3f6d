"""How a server's processes say on standard error what is no log line of theirs.

Where log lines are JSON, for programs, this is one of them; else it is for people, as it stands.
"""

import sys
from collections.abc import Callable
from contextlib import suppress

from visionflow.cli.terminal import say

Tell = Callable[[str], None]


def teller(form: str, code: str) -> Tell:
    """What says a text in this form of log lines, under this code where that is JSON."""
    if form != "json":
        return say

    def tell(text: str) -> None:
        from visionflow.adapters.lines import formed

        with suppress(OSError, ValueError):
            sys.stderr.write(formed(form, "info", None, code, text))
            sys.stderr.flush()

    return tell
