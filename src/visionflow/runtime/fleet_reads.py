"""Reads of the fleet's stream: views that are brought up to the log first.

Every method blocks; call it off the loop. Safe from any thread.
"""

import threading
from collections.abc import Callable

from visionflow.domain.fleet import STREAM, decode_fleet_record
from visionflow.ports.fleet_views import AuditRow, FleetChange, FleetViews, KeptRow
from visionflow.ports.log import Log
from visionflow.runtime.fleet_rows import changes

CHANGES_PER_APPLY = 2_000
PAGE_MAX = 1_000


class FleetReads:
    """Sees everything that its caller was ever told."""

    def __init__(self, log: Log, views: FleetViews, acknowledged: Callable[[], int]) -> None:
        """`acknowledged` gives the number of the last record that anybody was told of."""
        self._log = log
        self._views = views
        self._acknowledged = acknowledged
        self._lock = threading.Lock()
        if views.position() > acknowledged():
            # They are of another log, or of this one before it was put back.
            views.clear()

    def catch_up(self) -> None:
        """Bring the views up to what is acknowledged."""
        target = self._acknowledged()
        with self._lock:
            position = self._views.position()
            if position >= target:
                return
            pending: list[FleetChange] = []
            applied = position
            for entry in self._log.read(STREAM, position):
                pending.extend(changes(entry.seq, decode_fleet_record(entry.body)))
                position = entry.seq
                if len(pending) >= CHANGES_PER_APPLY:
                    self._views.apply(position, pending)
                    pending, applied = [], position
                if position >= target:
                    break
            if position > applied:
                self._views.apply(position, pending)

    def memory(self, namespace: str, key: str, now_ms: int) -> KeptRow | None:
        """One key, unless its time is over."""
        self.catch_up()
        row = self._views.memory(namespace, key)
        if row is None or (row.expires_ms is not None and row.expires_ms <= now_ms):
            return None
        return row

    def search(
        self, namespace: str | None, query: str, after: tuple[str, str], limit: int, now_ms: int
    ) -> list[KeptRow]:
        """A page of keys that have not expired; see `FleetViews.search`."""
        self.catch_up()
        return self._views.search(namespace, query, after, _page(limit), now_ms)

    def audit(
        self,
        after: tuple[int, int] | None,
        limit: int,
        since_ms: int,
        by: str | None,
        newest_first: bool,
    ) -> list[AuditRow]:
        """A page of the audit; see `FleetViews.audit`."""
        self.catch_up()
        return self._views.audit(after, _page(limit), since_ms, by, newest_first)


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_MAX))
