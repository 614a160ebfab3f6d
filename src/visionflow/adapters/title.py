"""What lists of processes show of this one: its arguments, overwritten where they lie.

`ps` and `htop` read them from the process's own memory. Nothing else is touched: the environment,
which lies behind them, tells whose process this is. Where it cannot be done the arguments stay.
"""

from contextlib import suppress

ROOM = 1_000
"""Characters that a process wants for its title; whoever starts it adds an argument as long."""
PADDING = " " * ROOM
_ARGUMENTS_AT = 45
"""Where /proc/self/stat has the first address of the arguments, and behind it the last, counted
from what comes after the name."""
NAME_CHARS = 15


class Title:
    """Of this process."""

    def __init__(self, name: str) -> None:
        """`name` is shown where there is room for little."""
        self._first, self._room = _place()
        with suppress(OSError), open("/proc/self/comm", "w") as file:
            file.write(name[:NAME_CHARS])
        self.show(name)

    def show(self, title: str) -> None:
        """Have this shown from now on, as far as there is room."""
        if self._room > 1:
            text = title.encode(errors="replace")[: self._room - 1].ljust(self._room, b"\0")
            with suppress(OSError), open("/proc/self/mem", "r+b", buffering=0) as memory:
                memory.seek(self._first)
                memory.write(text)


def _place() -> tuple[int, int]:
    """Where the arguments lie in memory, and how long they are; 0 where that is not known."""
    with suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        first, last = (int(each) for each in fields[_ARGUMENTS_AT : _ARGUMENTS_AT + 2])
        return first, max(0, last - first)
    return 0, 0
