"""Figures of a repository's Python: how much there is, how hard to read, and where."""

from collections.abc import Mapping
from math import ceil
from statistics import fmean, median

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.agents.study.facts import Facts, FileFacts
from visionflow.agents.study.graph import graph_of
from visionflow.agents.study.structure import structure_of
from visionflow.agents.tools.project import Project

PACKAGES_MAX = 50


class Spread(msgspec.Struct, frozen=True):
    """How a figure is spread over functions. `None` where there is no function."""

    mean: float | None = None
    median: float | None = None
    p90: float | None = None
    max: int | None = None


class PackageMetrics(msgspec.Struct, frozen=True):
    """Figures of one folder at the top."""

    package: str
    files: int
    lines: int
    functions: int
    complexity: int
    """Cognitive, of all its functions together."""


class Metrics(msgspec.Struct, frozen=True):
    """Figures of all Python files; those of tests apart."""

    files: int
    lines: int
    test_files: int
    test_lines: int
    functions: int
    classes: int
    complexity: Spread
    """Cognitive complexity of functions, without tests."""
    todos: int
    modules: int
    imports: int
    """Imports of one module of the project by another, as they run."""
    in_cycles: int
    """Modules in an import cycle."""
    packages: tuple[PackageMetrics, ...] = ()
    """The largest first."""
    not_read: tuple[tuple[str, str], ...] = ()
    """Paths, and why."""


def metrics_of(project: Project, facts: Facts, is_test: Mapping[str, bool]) -> Metrics:
    """The figures. `is_test`: by path, whether it is a test."""
    code = {path: each for path, each in facts.files.items() if not is_test.get(path)}
    tests = {path: each for path, each in facts.files.items() if is_test.get(path)}
    functions = [
        each.complexity
        for file in code.values()
        for each in file.definitions
        if each.kind == "function" and each.complexity is not None
    ]
    graph = graph_of(project, facts.files)
    paths = [path for path in graph.modules if not is_test.get(path)]
    shape = structure_of(graph, paths)
    not_read = {*facts.not_read, *project.tree.skipped}
    return Metrics(
        files=len(code),
        lines=_lines(code),
        test_files=len(tests),
        test_lines=_lines(tests),
        functions=_count(code, "function"),
        classes=_count(code, "class"),
        complexity=_spread(functions),
        todos=sum(len(file.todos) for file in facts.files.values()),
        modules=len(paths),
        imports=len(shape.edges),
        in_cycles=sum(1 for path in paths if shape.layer.get(path) is None),
        packages=_packages(code),
        not_read=tuple(sorted((portable_path(path), why) for path, why in not_read)),
    )


def _lines(files: Mapping[str, FileFacts]) -> int:
    return sum(file.lines for file in files.values())


def _count(files: Mapping[str, FileFacts], kind: str) -> int:
    return sum(1 for file in files.values() for each in file.definitions if each.kind == kind)


def _spread(values: list[int]) -> Spread:
    if not values:
        return Spread()
    ordered = sorted(values)
    p90 = ordered[ceil(0.9 * len(ordered)) - 1]
    return Spread(round(fmean(ordered), 4), float(median(ordered)), float(p90), ordered[-1])


def _packages(files: Mapping[str, FileFacts]) -> tuple[PackageMetrics, ...]:
    found: dict[str, list[FileFacts]] = {}
    for path, file in files.items():
        top = path.partition("/")[0] if "/" in path else "."
        found.setdefault(top, []).append(file)
    made = [
        PackageMetrics(
            portable_path(name),
            len(some),
            sum(file.lines for file in some),
            sum(1 for file in some for each in file.definitions if each.kind == "function"),
            sum(file.complexity or 0 for file in some),
        )
        for name, some in found.items()
    ]
    return tuple(sorted(made, key=lambda each: (-each.lines, each.package))[:PACKAGES_MAX])
