"""The keeper: holds a command's locks while its tree is dying although the launcher was killed.

The first process of a process namespace closes its files before the kernel has ended the others
in there, so its own copy of a lock would go too early. The keeper stands outside, and lets go when
the reaper can be collected: then nothing below it is left.
"""

import os
import select
import signal

_DESCRIPTORS_MAX = 1 << 20


def start(locks: tuple[int, ...]) -> tuple[int, int | None]:
    """Fork it, before any namespace is entered; 0 where there is nothing to hold.

    Its process id is returned, and what `watch` needs.
    """
    if not locks:
        return 0, None
    heard, tell = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(heard)
        return keeper, tell
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        low = 0
        for each in sorted({heard, *locks}):
            os.closerange(low, each)
            low = each + 1
        os.closerange(low, _DESCRIPTORS_MAX)
        _hold(heard)
    finally:
        os._exit(0)


def watch(tell: int | None, reaper: int) -> None:
    """Tell it whose end to wait for."""
    if tell is not None:
        os.write(tell, b"%d" % reaper)
        os.close(tell)


def _hold(heard: int) -> None:
    told = os.read(heard, 32)
    if not told:
        return
    try:
        reaper = os.pidfd_open(int(told))
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(reaper, select.POLLIN)
    poll.poll()
