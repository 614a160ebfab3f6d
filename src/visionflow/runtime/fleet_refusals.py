"""Refusals that come close together, as one record: a flood of them must not fill the disk.

The first of a kind is recorded at once. Those like it that follow within `WINDOW_MS` are counted,
and the count is recorded when that time is over; so a caller who is turned away ten thousand times
a second costs one record a second. Kinds are bounded too: of more than `KINDS_MAX` in one window
only the number is kept, under `*`.
"""

from collections.abc import Callable

import msgspec

from visionflow.domain import fleet as f
from visionflow.ports.host import Host, Timer

WINDOW_MS = 1_000
KINDS_MAX = 100
Refusal = f.RecordCall | f.RecordAccess
Kind = tuple[str, ...]
OTHERS: Kind = ("*",)


class _Repeated(msgspec.Struct):
    """The last of its kind, and how many came since the last record."""

    last: Refusal
    count: int = 0


class Refusals:
    """Decides which refusals are recorded now, and records the rest as counts."""

    def __init__(self, host: Host, record: Callable[[Refusal], None]) -> None:
        self._host = host
        self._record = record
        self._kinds: dict[Kind, _Repeated] = {}
        self._timer: Timer | None = None

    def admit(self, refusal: Refusal) -> bool:
        """Whether to record this one now; if not it is counted."""
        kind = _kind(refusal)
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            kind, refusal = OTHERS, _other(refusal)
        known = self._kinds.get(kind)
        first = known is None and kind != OTHERS
        if known is None:
            known = self._kinds[kind] = _Repeated(refusal)
        if not first:
            known.last = refusal
            known.count += refusal.count
        if self._timer is None:
            self._timer = self._host.call_later(WINDOW_MS, self.flush)
        return first

    def close(self) -> None:
        """Record what was counted; nothing is to come any more."""
        self.flush()
        self._kinds.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def flush(self) -> None:
        """Record what was counted, and begin the next window."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        kinds, self._kinds = self._kinds, {}
        for kind, known in kinds.items():
            if known.count:
                # It goes on being counted: the next one of its kind is no first one.
                self._kinds[kind] = _Repeated(known.last)
                self._record(
                    msgspec.structs.replace(
                        known.last, count=known.count, now_ms=self._host.now_ms()
                    )
                )
        if self._kinds:
            self._timer = self._host.call_later(WINDOW_MS, self.flush)


def _kind(refusal: Refusal) -> Kind:
    if isinstance(refusal, f.RecordCall):
        return ("call", refusal.by, refusal.face, refusal.tool, refusal.code or "")
    return ("access", refusal.by, refusal.face, refusal.code)


def _other(refusal: Refusal) -> Refusal:
    message = f"more than {KINDS_MAX} kinds of refusals within {WINDOW_MS} ms"
    return f.RecordAccess(now_ms=refusal.now_ms, by="*", face="*", code="*", message=message)
