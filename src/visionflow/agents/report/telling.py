"""Strangers' text on its way into the view: cleaned, kept free of secrets, cut to a length."""

from collections.abc import Iterable
from datetime import UTC, datetime

from visionflow.agents.evidence import Place
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.masking import Veil
from visionflow.agents.tools.text import clean, one_line, show_path, tail

LINE_MAX = 300
SOURCE_MAX = 200
PATH_MAX = 160
BLOCK_MAX = 2_000
_READ_MAX = 6_000
"""No more than this of a text is even looked at."""


class Teller:
    """Makes texts fit to be shown, for one run."""

    def __init__(self, tools: Iterable[ToolRun]) -> None:
        self.veil = Veil(tools)

    def line(self, text: str, limit: int = LINE_MAX) -> str:
        """One line of at most `limit` characters."""
        return one_line(self.veil.text(clean(text[:_READ_MAX])), limit)

    def maybe(self, text: str | None, limit: int = LINE_MAX) -> str | None:
        """The same of a text that may be absent."""
        return None if text is None else self.line(text, limit)

    def lines(self, texts: Iterable[str], limit: int = LINE_MAX) -> tuple[str, ...]:
        """The same of each, each once."""
        return tuple(dict.fromkeys(self.line(text, limit) for text in texts))

    def source(self, name: str, line: int, text: str) -> str:
        """The text of a line of a file, whichever secret stands on it."""
        whole = clean(text[:_READ_MAX])
        return one_line(self.veil.source(name, line, whole), SOURCE_MAX)

    def cut(self, text: str, limit: int = LINE_MAX) -> str:
        """One line of a text in which secrets are hidden already."""
        return one_line(text[:_READ_MAX], limit)

    def diff(self, text: str, limit: int) -> str:
        """A patch of at most `limit` characters, cut after a line, and then it says so."""
        told = self.veil.text(clean(text))
        if len(told) <= limit:
            return told
        return told[: told.rfind("\n", 0, limit) + 1] + "[cut here: the change goes on]\n"

    def block(self, text: str) -> str:
        """The end of a text of several lines."""
        return tail(self.veil.text(clean(text[-_READ_MAX:])), BLOCK_MAX)


def path(name: str) -> str:
    """A file name on one line, odd characters visible; a long one loses its middle."""
    visible = show_path(name if len(name) <= _READ_MAX else f"{name[:PATH_MAX]}{name[-PATH_MAX:]}")
    if len(visible) <= PATH_MAX:
        return visible
    half = PATH_MAX // 2
    return visible[: half - 1] + "…" + visible[-half:]


def place(name: str, line: int) -> str:
    """`path:line`."""
    return f"{path(name)}:{line}"


def maybe_place(at: Place | None) -> str | None:
    """`path:line` of a place that may be unknown."""
    return None if at is None else place(at.path, at.line)


def named(outcome: str) -> str:
    """A word of ours as people read it."""
    return outcome.replace("_", " ")


def ranges(numbers: Iterable[int], limit: int = 12) -> str:
    """Sorted line numbers as `3-9, 14`; of many only the first."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:limit]]
    return ", ".join(told) + (f" and {len(runs) - limit} more" if len(runs) > limit else "")


def share(value: float | None, digits: int = 0) -> str:
    """A share of 0 to 1 as percent."""
    return "unknown" if value is None else f"{100 * value:.{digits}f} %"


def percent(value: float | None) -> str:
    """A percentage of 0 to 100, two digits; it never rounds up to all."""
    if value is None:
        return "unknown"
    return f"{min(value, 99.99) if value < 100 else 100:.2f} %"


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 90:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def money(microdollars: int | None) -> str:
    """Millionths of a dollar as dollars."""
    if microdollars is None:
        return "not reported"
    if 0 < microdollars < 50:
        return "under $0.0001"  # It would be printed as nothing.
    return f"${microdollars / 1_000_000:,.{2 if microdollars >= 1_000_000 else 4}f}"


def moment(at_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
