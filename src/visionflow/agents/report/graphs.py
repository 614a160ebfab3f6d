"""The import graph as it is drawn: every module of a small project, the packages of a large one.

A package stands for its modules when there are too many to read; then the depth of names is chosen
at which the most packages fit. A level is the longest way down to something that imports nothing
else of the drawing, over the graph in which each ring is one node. Packages that use each other are
no ring of modules: there the way with fewer imports gives way, until the levels can be told.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from visionflow.agents.evidence import Architecture
from visionflow.agents.report.telling import path, plural
from visionflow.agents.report.values import Edge, GraphView, Node

NODES_MAX = 60
EDGES_MAX = 180
_FEW = 4
_REST = "(others)"


def graph_of(found: Architecture) -> GraphView:
    """What to draw of these imports."""
    names = sorted({module.name for module in found.modules})
    box_of, unit = _boxes(names)
    boxes = sorted(set(box_of.values()))
    imports: Counter[tuple[str, str]] = Counter()
    for importer, imported in found.edges:
        if importer in box_of and imported in box_of and box_of[importer] != box_of[imported]:
            imports[box_of[importer], box_of[imported]] += 1
    ring = {name for cycle in found.cycles for name in cycle.modules}
    red = _ring_edges(found, box_of)
    level = levels(boxes, imports if unit == "module" else _downward(boxes, imports))
    lines: Counter[str] = Counter()
    count: Counter[str] = Counter(box_of.values())
    for module in found.modules:
        lines[box_of[module.name]] += module.lines
    nodes = tuple(
        Node(
            path(box), count[box], lines[box], level[box],
            any(name in ring for name in _members(box, box_of, ring)),
        )
        for box in boxes
    )  # fmt: skip
    kept = sorted(imports, key=lambda pair: (pair not in red, -imports[pair], pair))[:EDGES_MAX]
    edges = tuple(Edge(path(a), path(b), imports[a, b], (a, b) in red) for a, b in sorted(kept))
    return GraphView(unit, len(names), nodes, edges, _said(unit, names, boxes, imports))


def _members(box: str, box_of: Mapping[str, str], ring: set[str]) -> list[str]:
    return [name for name in sorted(ring) if box_of.get(name) == box]


def _ring_edges(found: Architecture, box_of: Mapping[str, str]) -> set[tuple[str, str]]:
    """The drawn edges that are steps of a cycle."""
    red: set[tuple[str, str]] = set()
    edges = set(found.edges)
    for cycle in found.cycles:
        members = set(cycle.modules)
        for a, b in sorted(edges):
            if a in members and b in members and a in box_of and b in box_of:
                red.add((box_of[a], box_of[b]))
    return red


def _boxes(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """The box that each module is drawn in, and what a box is."""
    if len(names) <= NODES_MAX:
        return {name: name for name in names}, "module"
    deepest = max(name.count(".") + 1 for name in names)
    fitting: dict[str, str] | None = None
    crowded: dict[str, str] = {}
    for depth in range(1, deepest + 1):
        box_of = {name: ".".join(name.split(".")[:depth]) for name in names}
        if len(set(box_of.values())) > NODES_MAX:
            crowded = box_of
            break
        fitting = box_of
    if fitting is not None and (len(set(fitting.values())) >= _FEW or not crowded):
        return fitting, "package"
    sizes = Counter(crowded.values())
    largest = sorted(sizes, key=lambda box: (-sizes[box], box))[: NODES_MAX - 1]
    kept = set(largest)
    return {name: box if box in kept else _REST for name, box in crowded.items()}, "package"


def _said(
    unit: str, names: Sequence[str], boxes: Sequence[str], imports: Mapping[tuple[str, str], int]
) -> str:
    if unit == "module":
        told = f"All {plural(len(names), 'module')}"
    else:
        told = f"{len(names):,} modules drawn as {plural(len(boxes), 'package')}"
        if _REST in boxes:
            told += f", the small ones together as {_REST}"
    told += "; what stands higher imports what stands lower"
    told += "." if unit == "module" else ", and what goes against that is dashed."
    if len(imports) > EDGES_MAX:
        told += f" Of {len(imports):,} links the {EDGES_MAX} with the most imports are drawn."
    return told


def _downward(nodes: Sequence[str], imports: Mapping[tuple[str, str], int]) -> set[tuple[str, str]]:
    """The links without those that close a ring, the weakest left out first."""
    kept = {
        (a, b)
        for a, b in imports
        if (imports[a, b], b, a) > (imports.get((b, a), 0), a, b) or (b, a) not in imports
    }
    while True:
        down: dict[str, list[str]] = {node: [] for node in nodes}
        for importer, imported in sorted(kept):
            down[importer].append(imported)
        ring_of = _rings(nodes, down)
        closing = sorted((imports[a, b], a, b) for a, b in kept if ring_of[a] == ring_of[b])
        if not closing:
            return kept
        # A few at a time: a drawing needs a sound order, not the best one.
        kept -= {(a, b) for _, a, b in closing[: 1 + len(closing) // 20]}


def levels(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The level of each node; members of a ring share one."""
    down: dict[str, list[str]] = {node: [] for node in nodes}
    for importer, imported in sorted(edges):
        down[importer].append(imported)
    ring_of = _rings(nodes, down)
    level: dict[int, int] = {}
    # Rings are numbered as they are finished, so what a ring imports has a lower number.
    for ring in range(max(ring_of.values(), default=-1) + 1):
        below = [
            level[ring_of[imported]]
            for node in nodes
            if ring_of[node] == ring
            for imported in down[node]
            if ring_of[imported] != ring
        ]
        level[ring] = max(below, default=-1) + 1
    return {node: level[ring_of[node]] for node in nodes}


def _rings(nodes: Sequence[str], down: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Tarjan's strongly connected components, without recursion: a number for each node."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    done: dict[str, int] = {}
    open_nodes: list[str] = []
    rings = 0
    for root in nodes:
        if root in number:
            continue
        work: list[tuple[str, int]] = [(root, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                number[node] = lowest[node] = len(number)
                open_nodes.append(node)
            else:
                lowest[node] = min(lowest[node], lowest[down[node][at - 1]])
            for position in range(at, len(down[node])):
                below = down[node][position]
                if below not in number:
                    work += [(node, position + 1), (below, 0)]
                    break
                if below not in done:
                    lowest[node] = min(lowest[node], number[below])
            else:
                if lowest[node] == number[node]:
                    while True:
                        member = open_nodes.pop()
                        done[member] = rings
                        if member == node:
                            break
                    rings += 1
    return done
