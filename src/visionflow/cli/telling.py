"""How processes that keep a log say on standard error what is no log line of theirs.

Where log lines are JSON, for programs, this is one of them; else it is for people, as it stands.
"""

import errno
import sys
from collections.abc import Callable
from contextlib import suppress

from visionflow.cli.terminal import say
from visionflow.domain.secrecy import masked

Tell = Callable[[str], None]


def teller(form: str, code: str) -> Tell:
    """What says a text in this form of log lines, under this code where that is JSON."""
    if form != "json":
        return say

    def tell(text: str) -> None:
        from visionflow.adapters.lines import formed

        with suppress(OSError, ValueError):
            sys.stderr.write(formed(form, "info", None, code, masked(text)))
            sys.stderr.flush()

    return tell


def unexpected(error: Exception) -> str:
    """What ended a process that keeps a log, for people. A full disk is nobody's fault in here."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = error.filename2 or error.filename
        named = "A file" if what is None else str(what)
        return (
            f"visionflow: {named} could not be written: the disk is full. The log is intact. Free "
            "some of the disk and start it again."
        )
    return f"visionflow: something that should not happen did: {error!r}. The log is intact."
