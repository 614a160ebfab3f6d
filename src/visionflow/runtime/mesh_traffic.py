"""How much the peers of a mesh have said to each other, of all that the orchestrator heard of."""

from visionflow.domain.messages import PeerReport


class Traffic:
    """What peers have sent and got, each in all its lives that were heard of."""

    def __init__(self) -> None:
        self._last: dict[str, PeerReport] = {}
        self._before = (0, 0, 0, 0)

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Messages sent and received, bytes sent, messages dropped. None of them ever falls."""
        return _added(self._before, *map(_counts, self._last.values()))

    def take(self, report: PeerReport) -> None:
        """A peer says how much it was by now."""
        last = self._last.get(report.agent)
        if last is not None:
            if report.incarnation < last.incarnation:
                return
            if report.incarnation > last.incarnation or report.sent < last.sent:
                self.gone(report.agent)
        self._last[report.agent] = report

    def gone(self, agent: str) -> None:
        """It has ended; what it was counts on."""
        last = self._last.pop(agent, None)
        if last is not None:
            self._before = _added(self._before, _counts(last))


def _counts(report: PeerReport) -> tuple[int, int, int, int]:
    return report.sent, report.received, report.sent_bytes, report.dropped


def _added(*counts: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    sent, received, sent_bytes, dropped = map(sum, zip(*counts, strict=True))
    return sent, received, sent_bytes, dropped
