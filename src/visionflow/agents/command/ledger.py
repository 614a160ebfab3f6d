"""What the goes of a run used, as far as their tools said: a file of lines that all processes of
the run append to, and the limits that are held by it. Runs that share limits have another one
together, with the run before the name of each task.

A line is whole and on the disk before the go counts as recorded; one that a crash cut off is
removed by the next writer. The same go is written once, however often it is told.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from visionflow.agents.candidates.values import Usage
from visionflow.agents.roles.job import CodingBounds, CodingPool

FILE = "usage.jsonl"


class Line(msgspec.Struct, frozen=True):
    """One go."""

    task: str
    go: int
    tool: str
    usage: Usage
    wall_ms: int | None = None


class Spent(msgspec.Struct, frozen=True):
    """All goes of a run together."""

    tokens: int = 0
    cost_microdollars: int = 0
    goes: int = 0
    untold_tokens: int = 0
    """Goes whose tool said nothing of tokens."""
    untold_cost: int = 0


def record(folder: Path, line: Line) -> None:
    """Add a go; the same one again changes nothing.

    Raises:
        OSError: it could not be written; nothing of it counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(place, "r+b", buffering=0) as file:
        fcntl.flock(place, fcntl.LOCK_EX)
        held = file.readall()
        whole = held[: held.rfind(b"\n") + 1]
        if any((each.task, each.go) == (line.task, line.go) for each in _lines(whole)):
            return
        if len(whole) < len(held):
            file.truncate(len(whole))
        file.seek(len(whole))
        raw = memoryview(msgspec.json.encode(line) + b"\n")
        while raw:
            raw = raw[file.write(raw) or 0 :]
        os.fsync(place)


def lines(folder: Path) -> list[Line]:
    """All goes that were recorded; none where nothing was."""
    try:
        held = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return []
    return list(_lines(held[: held.rfind(b"\n") + 1]))


def spent(told: Iterable[Line]) -> Spent:
    """What they used together."""
    found = Spent()
    for each in told:
        use = each.usage
        tokens = None
        if use.input_tokens is not None or use.output_tokens is not None:
            tokens = (use.input_tokens or 0) + (use.output_tokens or 0)
        found = Spent(
            found.tokens + (tokens or 0),
            found.cost_microdollars + (use.cost_microdollars or 0),
            found.goes + 1,
            found.untold_tokens + (tokens is None),
            found.untold_cost + (use.cost_microdollars is None),
        )
    return found


def reached(bounds: CodingBounds | CodingPool, used: Spent) -> str | None:
    """Which limit is reached, as a sentence; `None` when a further go may start."""
    tokens, money = bounds.tokens, bounds.cost_microdollars
    of = f" of {bounds.name}" if isinstance(bounds, CodingPool) else ""
    if tokens is not None and used.tokens >= tokens:
        return (
            f"limit of tokens{of} reached: used {used.tokens:,} of {tokens:,}; not started"
            f"{_untold(used.untold_tokens, used.goes)}."
        )
    if money is not None and used.cost_microdollars >= money:
        return (
            f"limit of money{of} reached: used {_dollars(used.cost_microdollars)} of "
            f"{_dollars(money)}; not started{_untold(used.untold_cost, used.goes)}."
        )
    return None


def unheld(bounds: CodingBounds | CodingPool, use: Usage, tool: str) -> str | None:
    """That a limit cannot count this go, because its tool said nothing of it."""
    missing: list[str] = []
    if bounds.tokens is not None and use.input_tokens is None and use.output_tokens is None:
        missing.append("tokens")
    if bounds.cost_microdollars is not None and use.cost_microdollars is None:
        missing.append("money")
    if not missing:
        return None
    return f"{tool} reported no {' and no '.join(missing)}: this go counts nothing in that limit"


def together(parts: Iterable[Usage]) -> Usage:
    """The sum of several goes of one task; what none of them told is `None`."""
    sums: dict[str, int | None] = dict.fromkeys(Usage.__struct_fields__)
    for each in parts:
        for name in sums:
            value: int | None = getattr(each, name)
            if value is not None:
                sums[name] = (sums[name] or 0) + value
    return Usage(**sums)


def _untold(number: int, goes: int) -> str:
    return f" ({number} of {goes} goes reported nothing and count nothing)" if number else ""


def _dollars(micro: int) -> str:
    return f"${micro / 1_000_000:,.4f}"


def _lines(raw: bytes) -> Iterable[Line]:
    for each in raw.splitlines():
        try:
            yield msgspec.json.decode(each, type=Line)
        except msgspec.DecodeError:
            continue
