"""Where everything stands in the charts of report.html: numbers only, rounded, for the template.

The scatter has square-root axes, since most files are small and rarely touched and would lie on
one heap. The graph is drawn in rows by level; within a row nodes stand near what they import
(barycentre sweeps), and a level that is too wide takes several rows.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from visionflow.agents.report.values import Edge, GraphView, Node, RunView, Spot

SCATTER_W, SCATTER_H = 900, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 16, 52
_LABELS_MAX = 7
_LABEL_CHARS = 30
_CHAR_W = 6.6
NODE_W, NODE_H = 124, 30
_GAP_X, _GAP_Y, _GAP_WRAP = 12, 58, 16
_ACROSS = 6
_GUTTER = 62
_NODE_CHARS = 17
_MARGIN = 36
"""Above and below, where rings bend out."""
_SWEEPS = 6


class Dot(msgspec.Struct, frozen=True):
    x: float
    y: float
    r: float
    hot: bool
    title: str


class Label(msgspec.Struct, frozen=True):
    x: float
    y: float
    anchor: str
    text: str


class Tick(msgspec.Struct, frozen=True):
    at: float
    text: str


class Scatter(msgspec.Struct, frozen=True):
    """Complexity against churn; x is churn."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


class Box(msgspec.Struct, frozen=True):
    x: float
    y: float
    label: str
    title: str
    red: bool
    packed: bool
    """It stands for several modules."""


class Link(msgspec.Struct, frozen=True):
    path: str
    red: bool
    up: bool
    """It goes against the layers."""
    width: float


class LevelMark(msgspec.Struct, frozen=True):
    y: float
    text: str


class Drawing(msgspec.Struct, frozen=True):
    """The import graph in rows."""

    width: float
    height: float
    node_w: int
    node_h: int
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    levels: tuple[LevelMark, ...]


class Stripe(msgspec.Struct, frozen=True):
    x: float
    width: float
    ran: float
    """Height of what ran, 0 to 100."""


class Pictures(msgspec.Struct, frozen=True):
    """The charts that there is something to draw for."""

    spread: tuple[Stripe, ...]
    scatter: Scatter | None
    graph: Drawing | None


def pictures_of(view: RunView) -> Pictures:
    """The charts of this view."""
    found = view.architecture
    spots = () if found is None else found.spots
    graph = None if found is None or not found.graph.nodes else drawing(found.graph)
    return Pictures(
        spread=_spread(() if view.tests is None else view.tests.spread),
        scatter=scatter(spots) if spots else None,
        graph=graph,
    )


def _spread(spread: Sequence[tuple[float, int]]) -> tuple[Stripe, ...]:
    whole = sum(lines for _, lines in spread)
    stripes: list[Stripe] = []
    at = 0.0
    for percent, lines in spread:
        width = 1_000 * lines / whole
        stripes.append(Stripe(round(at, 2), round(width, 2), round(percent, 2)))
        at += width
    return tuple(stripes)


def scatter(spots: Sequence[Spot]) -> Scatter:
    """The files of a project by churn and complexity."""
    x_max = max(1, *(spot.changes for spot in spots))
    y_max = max(1, *(spot.complexity for spot in spots))

    def x_of(value: float) -> float:
        return _LEFT + math.sqrt(value / x_max) * (SCATTER_W - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        return SCATTER_H - _BOTTOM - math.sqrt(value / y_max) * (SCATTER_H - _TOP - _BOTTOM)

    named = [spot for spot in spots if spot.hot][:_LABELS_MAX]
    dots = tuple(
        Dot(
            round(x_of(spot.changes), 1), round(y_of(spot.complexity), 1),
            6 if spot.hot else 4, spot.hot,
            f"{spot.path}: {spot.changes:,} changes, complexity {spot.complexity:,}",
        )
        for spot in reversed(spots)
    )  # fmt: skip
    return Scatter(
        SCATTER_W,
        SCATTER_H,
        _LEFT,
        SCATTER_W - _RIGHT,
        _TOP,
        SCATTER_H - _BOTTOM,
        dots,
        _labels([(spot, x_of(spot.changes), y_of(spot.complexity)) for spot in named]),
        tuple(Tick(round(x_of(value), 1), f"{value:,}") for value in ticks(x_max)),
        tuple(Tick(round(y_of(value), 1), f"{value:,}") for value in ticks(y_max)),
    )


def ticks(largest: int) -> list[int]:
    """Round numbers from 0 to `largest` that lie apart on a square-root axis."""
    told = [0]
    for power in range(len(str(largest)) + 1):
        for step in (1, 2, 5):
            value = step * 10**power
            far = math.sqrt(value / largest) - math.sqrt(told[-1] / largest) >= 0.11
            if value <= largest and far:
                told.append(value)
    return told


def _labels(named: Sequence[tuple[Spot, float, float]]) -> tuple[Label, ...]:
    """A label beside each dot where one fits; one that would cover another is left out."""
    taken = [(x - 8, y - 8, x + 8, y + 8) for _, x, y in named]
    told: list[Label] = []
    for spot, x, y in named:
        text = _last_parts(spot.path, _LABEL_CHARS, "/")
        wide = len(text) * _CHAR_W
        for label, left in (
            (Label(round(x + 11, 1), round(y + 4, 1), "start", text), x + 11),
            (Label(round(x - 11, 1), round(y + 4, 1), "end", text), x - 11 - wide),
            (Label(round(x, 1), round(y - 12, 1), "middle", text), x - wide / 2),
            (Label(round(x, 1), round(y + 20, 1), "middle", text), x - wide / 2),
        ):
            box = (left, label.y - 11, left + wide, label.y + 3)
            inside = _LEFT + 4 < box[0] and box[2] < SCATTER_W and 4 < box[1] < SCATTER_H - _BOTTOM
            if inside and not any(_meet(box, other) for other in taken):
                told.append(label)
                taken.append(box)
                break
    return tuple(told)


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def drawing(graph: GraphView) -> Drawing:
    """The import graph in rows, what imports most at the top."""
    rows = _rows(graph.nodes, graph.edges)
    across = max(len(row) for _, row in rows)
    width = _GUTTER + across * (NODE_W + _GAP_X) - _GAP_X + 2
    at: dict[str, tuple[float, float]] = {}
    marks: list[LevelMark] = []
    word = "layer" if graph.unit == "module" else "level"
    y, before = float(_MARGIN), None
    for level, row in rows:
        if before is not None:
            y += NODE_H + (_GAP_WRAP if level == before else _GAP_Y)
        if level != before:
            marks.append(LevelMark(round(y + NODE_H / 2 + 4, 1), f"{word} {level}"))
        indent = _GUTTER + (width - 2 - _GUTTER - len(row) * (NODE_W + _GAP_X) + _GAP_X) / 2
        for place, node in enumerate(row):
            at[node.name] = (round(indent + place * (NODE_W + _GAP_X), 1), y)
        before = level
    prefix = _prefix([node.name for node in graph.nodes])
    boxes = tuple(_box(node, at[node.name], prefix) for _, row in rows for node in row)
    links = tuple(
        _link(edge, at)
        for edge in sorted(graph.edges, key=lambda e: (e.in_cycle, e.importer, e.imported))
    )
    return Drawing(width, y + NODE_H + _MARGIN, NODE_W, NODE_H, boxes, links, tuple(marks))


def _box(node: Node, at: tuple[float, float], prefix: str) -> Box:
    many = f", {node.modules:,} modules" if node.modules > 1 else ""
    ring = ", in an import cycle" if node.in_cycle else ""
    short = node.name[len(prefix) :] or node.name
    return Box(
        *at, _last_parts(short, _NODE_CHARS, "."), f"{node.name}{many}, {node.lines:,} lines{ring}",
        node.in_cycle, node.modules > 1,
    )  # fmt: skip


def _last_parts(name: str, chars: int, between: str) -> str:
    """As many of the last parts of a name as fit."""
    parts = name.split(between)
    while len(parts) > 1 and len(between.join(parts)) > chars:
        del parts[0]
    last = between.join(parts)
    return last if len(last) <= chars else f"{last[: chars - 6]}…{last[-5:]}"


def _prefix(names: Sequence[str]) -> str:
    """The first part of a dotted name, when all but the bare root share it."""
    roots = {name.split(".")[0] for name in names}
    return f"{min(roots)}." if len(roots) == 1 and len(names) > 1 else ""


def _link(edge: Edge, at: Mapping[str, tuple[float, float]]) -> Link:
    (ax, ay), (bx, by) = at[edge.importer], at[edge.imported]
    x1, x2 = ax + NODE_W / 2, bx + NODE_W / 2
    wide = round(min(4.0, 1 + math.log10(edge.imports)), 2)
    if ay < by:
        y1, y2 = ay + NODE_H, by - 2
        bend = max(16.0, (y2 - y1) / 2)
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    elif ay == by:
        # The two ways of a ring are told apart: to the right above, to the left below.
        lift = min(44.0, 18 + abs(x2 - x1) / 14) * (-1 if x2 > x1 else 1)
        y1 = ay if x2 > x1 else ay + NODE_H
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + lift:g} {x2:g} {y1 + lift:g} {x2:g} {y1:g}"
    else:
        y1, y2 = ay, by + NODE_H + 2
        side = NODE_W * 0.7
        path = f"M{x1:g} {y1:g}C{x1 + side:g} {y1 - 16:g} {x2 + side:g} {y2 + 16:g} {x2:g} {y2:g}"
    return Link(path, edge.in_cycle, ay >= by, wide)


def _rows(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[tuple[int, list[Node]]]:
    """Nodes in rows, the highest level first."""
    by_level: dict[int, list[Node]] = {}
    for node in nodes:
        by_level.setdefault(node.level, []).append(node)
    near: dict[str, list[str]] = {node.name: [] for node in nodes}
    for edge in edges:
        near[edge.importer].append(edge.imported)
        near[edge.imported].append(edge.importer)
    order = sorted(by_level, reverse=True)
    place = {
        node.name: (position + 0.5) / len(by_level[level])
        for level in order
        for position, node in enumerate(by_level[level])
    }
    for sweep in range(_SWEEPS):
        for level in order if sweep % 2 else reversed(order):
            by_level[level].sort(key=lambda node: (_middle(node.name, near, place), node.name))
            for position, node in enumerate(by_level[level]):
                place[node.name] = (position + 0.5) / len(by_level[level])
    rows: list[tuple[int, list[Node]]] = []
    for level in order:
        row = by_level[level]
        if len(row) > _ACROSS:
            # Members of a ring stay together when a level takes several rows.
            row = sorted(row, key=lambda node: not node.in_cycle)
        count = -(-len(row) // _ACROSS)
        cuts = [round(part * len(row) / count) for part in range(count + 1)]
        rows += [(level, row[start:end]) for start, end in pairwise(cuts)]
    return rows


def _middle(name: str, near: Mapping[str, list[str]], place: Mapping[str, float]) -> float:
    others = [place[other] for other in near[name]]
    return round(sum(others) / len(others), 6) if others else place[name]
