"""What rows report, and how it is printed. Nothing is measured here."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

Number = float | int | None


class Series(msgspec.Struct, frozen=True):
    """One figure, measured once a round. Without samples it is unknown, and `why` says why."""

    name: str
    unit: str
    samples: tuple[float, ...] = ()
    why: str | None = None

    @property
    def least(self) -> float | None:
        """The smallest sample."""
        return min(self.samples, default=None)

    @property
    def middle(self) -> float | None:
        """The median of the samples."""
        return median(self.samples) if self.samples else None

    @property
    def most(self) -> float | None:
        """The largest sample."""
        return max(self.samples, default=None)


class Row(msgspec.Struct, frozen=True):
    """One row of the table: what was done, and the figures of each who did it."""

    name: str
    what: str
    series: tuple[Series, ...]
    ratios: Mapping[str, Number] = {}
    """Ours against each peer, from the medians of this very run."""
    notes: tuple[str, ...] = ()


def percentile(samples: Iterable[float], share: float) -> float:
    """The sample below which this share (0 to 1) of them lies."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(ours: Series, theirs: Series) -> float | None:
    """Our median against theirs; `None` when one of them is unknown."""
    mine, other = ours.middle, theirs.middle
    if mine is None or not other:
        return None
    return round(mine / other, 2)


def shown(value: Number) -> str:
    """A number for people, with as many digits as it can be trusted for."""
    if value is None:
        return "null"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def text_of(row: Row) -> str:
    """The row for people."""
    lines = [f"{row.name}: {row.what}"]
    wide = max((len(series.name) for series in row.series), default=0)
    for series in row.series:
        if not series.samples:
            lines.append(f"  {series.name:<{wide}}  null   {series.why or 'not measured'}")
            continue
        least, middle, most = shown(series.least), shown(series.middle), shown(series.most)
        spread = f"(min {least}, max {most}, n={len(series.samples)})"
        single = len(series.samples) == 1
        lines.append(
            f"  {series.name:<{wide}}  {middle:>9} {series.unit}{'' if single else '  ' + spread}"
        )
    lines += [f"  ratio {name}: {shown(value)}" for name, value in row.ratios.items()]
    lines += [f"  {note}" for note in row.notes]
    return "\n".join(lines)


def as_json(machine: Mapping[str, object], rows: Sequence[Row]) -> bytes:
    """All of it for programs: one object."""
    told = [
        msgspec.to_builtins(row)
        | {
            "series": [
                msgspec.to_builtins(series)
                | {"min": series.least, "median": series.middle, "max": series.most}
                for series in row.series
            ]
        }
        for row in rows
    ]
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": told}), indent=2)
