"""Import cycles that a change closed: found from its new import lines, not by a whole search.

An import counts that runs when its module is loaded; one inside a function is the usual way out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from visionflow.agents.findings import Finding, ToolRun, with_fingerprints
from visionflow.agents.study.facts import TOP
from visionflow.agents.study.graph import Edge, ImportGraph
from visionflow.agents.tools.delta import FileDiff

TOOL, RULE = "imports", "import-cycle"
CWE = 1047
"""Modules with Circular Dependencies."""


def closing_edges(graph: ImportGraph, diff: Sequence[FileDiff]) -> dict[Edge, tuple[str, ...]]:
    """Imports on changed lines that are part of a ring, each with the way back to its importer.

    A way begins with what is imported and ends with the importer; both are paths.
    """
    changes = {each.new: each for each in diff if each.new is not None}
    out = _imports(graph)
    rings: dict[Edge, tuple[str, ...]] = {}
    for edge in graph.edges:
        change = changes.get(edge.importer)
        if edge.kind == TOP and change is not None and change.is_added(edge.line):
            way = _way(edge.imported, edge.importer, out)
            if way is not None:
                rings[edge] = way
    return rings


def new_rings(
    rings: Mapping[Edge, tuple[str, ...]],
    before: ImportGraph,
    graph: ImportGraph,
    names: Mapping[str, str],
    text: Callable[[str, int], str],
) -> ToolRun:
    """Those whose two ends were in no ring together on base, as findings.

    `names`: of renamed files, new to old. `text` gives a line as it stands.
    """
    out = _imports(before)
    found: dict[frozenset[str], Finding] = {}
    for edge, way in sorted(rings.items()):
        importer = names.get(edge.importer, edge.importer)
        imported = names.get(edge.imported, edge.imported)
        together = imported in out.get(importer, ()) and _way(imported, importer, out)
        if together or frozenset(way) in found:
            continue
        ring = " -> ".join(graph.modules[each] for each in (edge.importer, *way))
        found[frozenset(way)] = Finding(
            TOOL, RULE, "medium", f"this import closes a cycle: {ring}", edge.importer, edge.line,
            cwe=CWE, snippet=text(edge.importer, edge.line).strip(),
        )  # fmt: skip
    lines = {(each.path, each.line): each.snippet for each in found.values()}
    return ToolRun(TOOL, None, with_fingerprints(found.values(), lines), len(graph.modules))


def _imports(graph: ImportGraph) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.kind == TOP:
            out.setdefault(edge.importer, []).append(edge.imported)
    return out


def _way(start: str, goal: str, out: Mapping[str, Iterable[str]]) -> tuple[str, ...] | None:
    """The first of the shortest ways from one to the other, both ends included."""
    came: dict[str, str | None] = {start: None}
    row = [start]
    while row:
        following: list[str] = []
        for path in row:
            if path == goal:
                return _back(path, came)
            for to in sorted(out.get(path, ())):
                if to not in came:
                    came[to] = path
                    following.append(to)
        row = following
    return None


def _back(path: str, came: Mapping[str, str | None]) -> tuple[str, ...]:
    way: list[str] = []
    at: str | None = path
    while at is not None:
        way.append(at)
        at = came[at]
    return tuple(reversed(way))
