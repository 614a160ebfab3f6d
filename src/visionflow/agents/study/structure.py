"""What an import graph amounts to: cycles, layers, fan-in, fan-out, and how far a change reaches.

Imports for type checkers only are edges that make no cycle and no layer: they never run.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from visionflow.agents.evidence import Cycle, Place
from visionflow.agents.study.facts import IN_FUNCTION, TYPING
from visionflow.agents.study.graph import Edge, ImportGraph

CYCLES_MAX = 100


class Structure(msgspec.Struct, frozen=True):
    """The shape of a graph. Modules are paths."""

    edges: tuple[Edge, ...]
    """Those that run, sorted."""
    fan_in: dict[str, int]
    fan_out: dict[str, int]
    layer: dict[str, int | None]
    """0 imports nothing of the project; `None` in a cycle."""
    layers: int
    cycles: tuple[Cycle, ...]
    late_cycles: int
    """How many of them hold only by an import inside a function."""
    scalability_score: float | None


def structure_of(graph: ImportGraph, paths: Iterable[str]) -> Structure:
    """The shape of the part of `graph` that `paths` are."""
    chosen = sorted(set(paths) & set(graph.modules))
    inside = set(chosen)
    running = {
        (edge.importer, edge.imported): edge
        for edge in graph.edges
        if edge.importer in inside and edge.imported in inside and edge.kind != TYPING
    }
    out: dict[str, list[str]] = {}
    for importer, imported in sorted(running):
        out.setdefault(importer, []).append(imported)
    groups = _groups(chosen, running)
    rings = sorted(group for group in groups if len(group) > 1)
    number = {path: at for at, group in enumerate(groups) for path in group}
    bit = {path: 1 << at for at, path in enumerate(chosen)}
    level: list[int] = []
    reach: list[int] = []
    for at, group in enumerate(groups):
        below = {number[to] for path in group for to in out.get(path, ())} - {at}
        level.append(1 + max((level[each] for each in below), default=-1))
        bits = 0
        for each in below:
            bits |= reach[each]
        for path in group:
            bits |= bit[path]
        reach.append(bits)
    cycled = {path for ring in rings for path in ring}
    cycles = _cycles(graph.modules, rings, running, out)
    top = {step: edge for step, edge in running.items() if edge.kind != IN_FUNCTION}
    late = sum(not _is_cycle(cycle, graph.modules, top) for cycle in cycles)
    reached = sum(len(group) * (reach[at].bit_count() - 1) for at, group in enumerate(groups))
    return Structure(
        tuple(running.values()),
        _degrees(chosen, (imported for _, imported in running)),
        _degrees(chosen, (importer for importer, _ in running)),
        {path: None if path in cycled else level[number[path]] for path in chosen},
        1 + max(level, default=-1),
        cycles,
        late,
        _score(len(chosen), len(cycled), reached),
    )


def _groups(paths: list[str], steps: Iterable[tuple[str, str]]) -> list[list[str]]:
    """What imports each other, in one group; a group comes after all that it imports."""
    import networkx

    net: networkx.DiGraph[str] = networkx.DiGraph()
    net.add_nodes_from(paths)
    net.add_edges_from(steps)
    knots: networkx.DiGraph[int] = networkx.condensation(net)
    held = cast("Mapping[int, Mapping[str, set[str]]]", knots.nodes)
    return [sorted(held[each]["members"]) for each in networkx.topological_sort(knots.reverse())]


def _score(modules: int, in_cycles: int, reached: int) -> float | None:
    """Share of modules that are in no cycle, times one less the propagation cost.

    The propagation cost (MacCormack, Rusnak, Baldwin 2006) is the share of all pairs of different
    modules in which the first depends on the second, directly or through others: how much of the
    code a change reaches on average. `None` where there is no module.
    """
    if not modules:
        return None
    cost = reached / (modules * (modules - 1)) if modules > 1 else 0.0
    return round((1 - in_cycles / modules) * (1 - cost), 4)


def _degrees(chosen: list[str], ends: Iterable[str]) -> dict[str, int]:
    counts = dict.fromkeys(chosen, 0)
    for each in ends:
        counts[each] += 1
    return counts


def _cycles(
    modules: Mapping[str, str],
    rings: list[list[str]],
    running: dict[tuple[str, str], Edge],
    out: dict[str, list[str]],
) -> tuple[Cycle, ...]:
    """Of each knot of modules all pairs that import each other, and short cycles until each of its
    modules is in one."""
    found: list[list[str]] = []
    for ring in rings:
        members, left = set(ring), set(ring)
        for path in ring:
            for to in out.get(path, ()):
                if path < to and (to, path) in running:
                    found.append([path, to])
                    left -= {path, to}
        while left:
            way = _shortest(min(left), out, members)
            left -= set(way)
            first = way.index(min(way))
            found.append([*way[first:], *way[:first]])
    return tuple(_told(modules, way, running) for way in sorted(found)[:CYCLES_MAX])


def _told(
    modules: Mapping[str, str], way: list[str], running: dict[tuple[str, str], Edge]
) -> Cycle:
    steps = [running[step] for step in zip(way, [*way[1:], way[0]], strict=True)]
    places = tuple(Place(step.importer, step.line) for step in steps)
    return Cycle(tuple(modules[path] for path in way), places)


def _shortest(start: str, out: dict[str, list[str]], members: set[str]) -> list[str]:
    """The first of the shortest ways from `start` back to itself."""
    came: dict[str, str] = {}
    row = [start]
    while row:
        following: list[str] = []
        for path in row:
            for to in out.get(path, ()):
                if to == start:
                    way = [path]
                    while way[-1] != start:
                        way.append(came[way[-1]])
                    return way[::-1]
                if to in members and to not in came:
                    came[to] = path
                    following.append(to)
        row = following
    raise AssertionError("a module of a strongly connected component lies on a cycle")


def _is_cycle(
    cycle: Cycle, modules: Mapping[str, str], edges: Mapping[tuple[str, str], Edge]
) -> bool:
    paths = [place.path for place in cycle.places]
    return all(step in edges for step in zip(paths, [*paths[1:], paths[0]], strict=True))
