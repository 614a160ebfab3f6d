"""Puts together what the architect tells: modules, cycles, layers, hotspots, owners.

Tests are no part of the architecture: they import everything and nothing imports them.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from visionflow.agents.evidence import Architecture, Cycle, Module, Place
from visionflow.agents.findings import portable_path
from visionflow.agents.study.facts import TYPING, Facts
from visionflow.agents.study.graph import Edge, ImportGraph, graph_of
from visionflow.agents.study.history import History, hotspots_of, owners_of
from visionflow.agents.study.structure import CYCLES_MAX, Structure, structure_of
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.tree import is_test_path

Level = Literal["minimal", "standard", "comprehensive"]
_HOTSPOTS: dict[Level, int] = {"minimal": 5, "standard": 20, "comprehensive": 100}
_OWNERS: dict[Level, int] = {"minimal": 0, "standard": 20, "comprehensive": 200}


def architecture_of(
    project: Project, facts: Facts, history: History | None, level: Level, style: str | None
) -> Architecture:
    """What imports and history tell. `level` bounds how much of it is in the result; the figures
    are of everything."""
    graph = graph_of(project, facts.files)
    paths = _of_architecture(graph)
    shape = structure_of(graph, paths)
    owners = owners_of(history, paths, _OWNERS[level])
    code = {path: facts.files[path] for path in facts.files if not is_test_path(path)}
    known = facts.ended == "completed" and bool(paths)
    not_read = {*facts.not_read, *project.tree.skipped}
    return Architecture(
        modules=() if level == "minimal" else _modules(graph, shape, facts, history, paths),
        edges=() if level == "minimal" else _steps(graph, shape),
        cycles=tuple(_shown(cycle) for cycle in shape.cycles),
        layers=shape.layers if known else None,
        hotspots=hotspots_of(code, history, _HOTSPOTS[level]),
        owners=owners,
        scalability_score=shape.scalability_score if known else None,
        commits=history.commits if history is not None else None,
        not_read=tuple(sorted((portable_path(path), why) for path, why in not_read)),
        notes=tuple(_notes(project, graph, shape, facts, history, style)),
    )


def _of_architecture(graph: ImportGraph) -> list[str]:
    """Modules that are no tests; of a module and its stub only the module."""
    return [
        path
        for path in graph.modules
        if not is_test_path(path) and not (path.endswith(".pyi") and path[:-1] in graph.modules)
    ]


def _modules(
    graph: ImportGraph,
    shape: Structure,
    facts: Facts,
    history: History | None,
    paths: Iterable[str],
) -> tuple[Module, ...]:
    changes = None if history is None else history.changes
    found = [
        Module(
            graph.modules[path],
            portable_path(path),
            facts.files[path].lines,
            shape.fan_in[path],
            shape.fan_out[path],
            shape.layer[path],
            facts.files[path].complexity,
            None if changes is None else changes.get(portable_path(path), 0),
        )
        for path in paths
    ]
    return tuple(sorted(found, key=lambda module: (module.name, module.path)))


def _steps(graph: ImportGraph, shape: Structure) -> tuple[tuple[str, str], ...]:
    names = graph.modules
    return tuple(sorted({(names[e.importer], names[e.imported]) for e in shape.edges}))


def _shown(cycle: Cycle) -> Cycle:
    places = tuple(Place(portable_path(each.path), each.line) for each in cycle.places)
    return msgspec.structs.replace(cycle, places=places)


def _notes(
    project: Project,
    graph: ImportGraph,
    shape: Structure,
    facts: Facts,
    history: History | None,
    style: str | None,
) -> Iterable[str]:
    if facts.ended != "completed":
        yield f"No Python file was parsed, so imports are not known: {facts.reason}"
    typing = sum(edge.kind == TYPING for edge in graph.edges)
    if typing:
        yield f"Imports for type checkers only, which make no cycle and no layer: {typing}."
    if shape.late_cycles:
        yield f"Cycles that hold only by an import inside a function: {shape.late_cycles}."
    if len(shape.cycles) >= CYCLES_MAX:
        yield f"There may be more than {CYCLES_MAX} cycles; the first are listed."
    if history is not None and history.cut:
        yield f"The history was looked at for its last {history.commits} commits."
    if style in STYLES:
        packages = tuple(f"{folder}/" for folder in project.packages)
        yield from _broken(graph, shape, style, packages)


STYLES = ("layered", "microservices", "modular_monolith")
"""Styles that say something of imports between packages, which can be held against them."""


def _broken(
    graph: ImportGraph, shape: Structure, style: str, packages: tuple[str, ...]
) -> Iterable[str]:
    """Where imports between packages are not as the style has it."""
    # `setup.py`, documents and scripts lie beside the packages and are none.
    shipped = {path for path in shape.layer if path.startswith(packages)}
    inside = shipped or set(shape.layer)
    unit = _units([graph.modules[path] for path in shape.layer if path in inside])
    crossing: dict[tuple[str, str], Edge] = {}
    for edge in shape.edges:
        if edge.importer not in inside or edge.imported not in inside:
            continue
        step = unit[graph.modules[edge.importer]], unit[graph.modules[edge.imported]]
        if step[0] != step[1]:
            crossing.setdefault(step, edge)
    if style == "microservices":
        wrong = sorted(crossing.items())
        rule = "imports from one package into another that is meant to stand alone"
    else:
        wrong = sorted((s, e) for s, e in crossing.items() if s[::-1] in crossing)
        rule = "imports between packages that import each other"
    if len(wrong) == 1:
        rule = rule.replace("imports from", "import from")
    shown = ", ".join(
        f"{a} of {b} ({portable_path(edge.importer)}:{edge.line})" for (a, b), edge in wrong[:5]
    )
    yield f"Held against the style {style}: {len(wrong)} {rule}" + (f": {shown}." if wrong else ".")


def _units(names: list[str]) -> dict[str, str]:
    """Of each module the package it counts to: the topmost, or the one below it where all are in
    one package and there is one below."""
    tops = {name.partition(".")[0] for name in names}
    if len(tops) > 1:
        return {name: name.partition(".")[0] for name in names}
    below = {".".join(name.split(".")[:2]) for name in names if name.count(".") > 1}
    units = (".".join(name.split(".")[:2]) for name in names)
    return {
        name: unit if unit in below else name.partition(".")[0]
        for name, unit in zip(names, units, strict=True)
    }
