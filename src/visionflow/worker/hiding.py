"""Secrets that a process knows of, and its own words without them: reasons, log lines, output."""

import io
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from threading import Lock, RLock
from typing import BinaryIO

from visionflow.domain.secrecy import LENGTH_MIN, MASK, forms_of, is_secret_name, masked

VALUES_MAX = 1_000
"""Forms of values that are known at once; the oldest are forgotten."""
WORKING_FOLDERS = frozenset({"PWD", "OLDPWD"})
"""Every shell sets these, and no password is in them: where something failed is below them."""
LINE_CHARS_MAX = 65_536
"""Of a line without an end, what is kept before it is written."""


class Hidden:
    """Values that are known to be secrets. In memory only; any thread may use it."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, None] = OrderedDict()
        self._pattern: re.Pattern[str] | None = None
        self._lock = Lock()

    def add(self, values: Iterable[str]) -> None:
        """Hide these too, from now on."""
        for value in values:
            if len(value.strip()) < LENGTH_MIN or len(set(value)) == 1 or value in self._values:
                continue
            with self._lock:
                self._values.update(dict.fromkeys(forms_of(value)))
                while len(self._values) > VALUES_MAX:
                    self._values.popitem(last=False)
                self._pattern = None

    def text(self, text: str) -> str:
        """The text without them, and without what is a secret by its form or name."""
        if self._values:
            text = self._known().sub(MASK, text)
        return masked(text)

    def _known(self) -> "re.Pattern[str]":
        # Made when it is needed: many may be added between two texts.
        with self._lock:
            if self._pattern is None:
                ordered = sorted(self._values, key=lambda each: (-len(each), each))
                self._pattern = re.compile("|".join(map(re.escape, ordered)))
            return self._pattern


def secrets_in(env: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say that they are secret."""
    return [
        value for name, value in env.items() if name not in WORKING_FOLDERS and is_secret_name(name)
    ]


HIDDEN = Hidden()
"""Of this process: filled by whoever starts it and by what hosts agents."""


class MaskedText(io.TextIOWrapper):
    """A stream of text that writes whole lines, each without secrets. What is written to the
    descriptor or the buffer below it is not looked at."""

    def __init__(self, buffer: BinaryIO, mask: Callable[[str], str]) -> None:
        self._lock = RLock()
        self._line = ""
        self._mask = mask
        super().__init__(buffer, "utf-8", "backslashreplace", "\n", line_buffering=True)

    def write(self, text: str, /) -> int:
        """See `TextIOBase`."""
        with self._lock:
            lines, end, rest = (self._line + text).rpartition("\n")
            if not end and len(rest) > LINE_CHARS_MAX:
                lines, rest = rest, ""
            self._line = rest
            if lines or end:
                super().write(self._mask(lines) + end)
        return len(text)

    def flush(self) -> None:
        """See `TextIOBase`. A line that has not ended is written as it is by now."""
        with self._lock:
            rest, self._line = self._line, ""
            if rest:
                super().write(self._mask(rest))
            super().flush()
