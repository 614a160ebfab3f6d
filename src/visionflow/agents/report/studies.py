"""The parts of the view about the repository itself: its architecture, and what was looked up."""

from collections.abc import Iterable

from visionflow.agents.evidence import (
    Architecture,
    Citation,
    Cycle,
    Dependency,
    Hotspot,
    Research,
)
from visionflow.agents.report.graphs import graph_of
from visionflow.agents.report.telling import Teller, maybe_place, path, place
from visionflow.agents.report.values import (
    AnswerLine,
    ArchitectureView,
    CitationLine,
    CycleLine,
    HotspotLine,
    NamedPlace,
    OwnerLine,
    ResearchView,
    Spot,
)

CYCLES_MAX = 20
HOTSPOTS_MAX = 20
SPOTS_MAX = 400
OWNERS_MAX = 20
CITATIONS_MAX = 8
ANSWERS_MAX = 20
NAMED_MAX = 50
_RING_MAX = 12


def architecture_view(found: Architecture, teller: Teller) -> ArchitectureView:
    """Imports and history, as far as there are any."""
    spots = _spots(found)
    return ArchitectureView(
        modules=len(found.modules),
        imports=len(found.edges),
        layers=found.layers,
        scalability_score=found.scalability_score,
        commits=found.commits,
        cycles=tuple(_cycle(cycle) for cycle in found.cycles[:CYCLES_MAX]),
        cycles_total=len(found.cycles),
        hotspots=tuple(_hotspot(spot) for spot in found.hotspots[:HOTSPOTS_MAX]),
        hotspots_total=len(found.hotspots),
        spots=spots[:SPOTS_MAX],
        spots_total=len(spots),
        owners=tuple(
            OwnerLine(path(each.folder), teller.line(each.author, 80), each.share, each.authors)
            for each in found.owners[:OWNERS_MAX]
        ),
        owners_total=len(found.owners),
        graph=graph_of(found),
        notes=teller.lines(found.notes),
    )


def _cycle(cycle: Cycle) -> CycleLine:
    modules = [path(name) for name in cycle.modules[:_RING_MAX]]
    if len(cycle.modules) > _RING_MAX:
        modules.append(f"and {len(cycle.modules) - _RING_MAX} more")
    places = tuple(place(each.path, each.line) for each in cycle.places[:_RING_MAX])
    return CycleLine(tuple(modules), places)


def _hotspot(spot: Hotspot) -> HotspotLine:
    return HotspotLine(
        path=path(spot.path),
        changes=spot.changes,
        complexity=spot.complexity,
        score=spot.score,
        function=None if spot.function is None else path(spot.function),
        place=None if spot.line is None else place(spot.path, spot.line),
        function_complexity=spot.function_complexity,
    )


def _spots(found: Architecture) -> tuple[Spot, ...]:
    """Files by churn and complexity, the largest product first."""
    known = {
        module.path: (module.changes, module.complexity)
        for module in found.modules
        if module.changes is not None and module.complexity is not None
    }
    known |= {spot.path: (spot.changes, spot.complexity) for spot in found.hotspots}
    ordered = sorted(known.items(), key=lambda item: (-item[1][0] * item[1][1], item[0]))
    hot = {spot.path for spot in found.hotspots}
    return tuple(
        Spot(path(name), changes, complexity, name in hot)
        for name, (changes, complexity) in ordered
    )


def research_view(found: Research, teller: Teller) -> ResearchView:
    """Answers with their citations, and what the repository declares and imports."""
    return ResearchView(
        answers=tuple(
            AnswerLine(
                teller.lines(answer.terms, 80),
                answer.hits,
                tuple(_citation(each, teller) for each in answer.citations[:CITATIONS_MAX]),
            )
            for answer in found.answers[:ANSWERS_MAX]
        ),
        completeness=found.completeness,
        entry_points=tuple(
            NamedPlace(
                teller.line(each.name, 80), teller.line(each.kind, 40), maybe_place(each.place),
                teller.line(each.target, 160),
            )
            for each in found.entry_points[:NAMED_MAX]
        ),
        entry_points_total=len(found.entry_points),
        undeclared=_dependencies(found.undeclared, "imported, not declared", teller),
        unused=_dependencies(found.unused, "declared, not imported", teller),
        declared=found.declared,
        imported=found.imported,
        todos=tuple(
            NamedPlace(
                teller.line(each.word, 20), "remark", maybe_place(each.place),
                teller.source(each.place.path, each.place.line, each.text),
            )
            for each in found.todos[:NAMED_MAX]
        ),
        todos_total=len(found.todos),
        indexed={teller.line(key, 40): found.indexed[key] for key in sorted(found.indexed)},
        notes=teller.lines(found.notes),
    )  # fmt: skip


def _citation(each: Citation, teller: Teller) -> CitationLine:
    at = f"commit {each.commit[:12]}" if each.commit else place(each.path, each.line)
    return CitationLine(
        teller.line(at), teller.source(each.path, each.line, each.text), each.source
    )


def _dependencies(found: Iterable[Dependency], kind: str, teller: Teller) -> tuple[NamedPlace, ...]:
    some = list(found)[:NAMED_MAX]
    return tuple(
        NamedPlace(teller.line(each.name, 80), kind, maybe_place(each.place)) for each in some
    )
