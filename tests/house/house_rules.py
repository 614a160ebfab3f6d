"""The style rules as functions over source text; each returns the places that break it.

What the rules are for stands in docs and in the tests beside this file; ruff, pyright and
import-linter hold the rest. A place reads `path:line what is wrong`.
"""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREEN_LINES = 70
MODULE_LINES_MAX = 500
VAGUE_ENDINGS = ("Manager", "Helper", "Helpers", "Util", "Utils", "Utility")
# The guide's programs import this name: it is not ours to choose.
GIVEN_NAMES = frozenset({("src/visionflow/interfaces/supervisors.py", "RecoveryManager")})
FREE_TO_REORDER = frozenset({"as_completed", "wait", "TaskGroup"})
ORDER_LEAKS = frozenset({"enumerate", "iter", "list", "tuple"})

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One Python file: where it is, relative to the repository, and what it holds."""

    path: str
    text: str

    def tree(self) -> ast.Module:
        """Return the parsed file; a syntax error is the caller's to see."""
        return ast.parse(self.text, self.path)


def expect_none(broken: Iterable[str]) -> None:
    """Fail the running test with every place named, one a line, when there is any."""
    places = list(broken)
    if places:
        pytest.fail("\n".join([f"{len(places)} in all:", *places]), pytrace=False)


def tracked(pattern: str = "*") -> list[Path]:
    """Return the files git tracks or would track, that match `pattern` and are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def python_sources(*folders: str) -> list[Source]:
    """Return the Python files below these folders of the repository, all when none is named."""
    found = [(path.relative_to(ROOT).as_posix(), path) for path in tracked("*.py")]
    return [
        Source(name, path.read_text(encoding="utf-8"))
        for name, path in found
        if not folders or any(name.startswith(folder + "/") for folder in folders)
    ]


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function and method of `tree`, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, type_of_function):
            yield node


def lines_of(function: Function) -> int:
    """Return how many lines `function` takes, its decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def long_functions(sources: Iterable[Source]) -> tuple[int, list[str]]:
    """Return how many functions there are, and those that do not fit on a screen."""
    count = 0
    long: list[str] = []
    for source in sources:
        for function in functions(source.tree()):
            count += 1
            if lines_of(function) > SCREEN_LINES:
                place = f"{source.path}:{function.lineno}"
                long.append(f"{place} {function.name} takes {lines_of(function)} lines")
    return count, long


def long_modules(sources: Iterable[Source]) -> list[str]:
    """Return the modules with more lines than a module may have."""
    sizes = [(source.path, len(source.text.splitlines())) for source in sources]
    return [f"{path}:1 has {lines} lines" for path, lines in sizes if lines > MODULE_LINES_MAX]


def unannotated(source: Source) -> list[str]:
    """Return the functions that leave a parameter or the return without its type."""
    broken: list[str] = []
    tree = source.tree()
    methods = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, type_of_function)
    }
    for function in functions(tree):
        missing = _missing(function, function in methods and not _is_static(function))
        if missing:
            place = f"{source.path}:{function.lineno}"
            broken.append(f"{place} {function.name} does not annotate {', '.join(missing)}")
    return broken


def _is_static(function: Function) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def _missing(function: Function, bound: bool) -> list[str]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args][1 if bound else 0 :]
    others = [arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    named = [a for a in [*positional, *others] if a is not None]
    missing = [a.arg for a in named if a.annotation is None]
    return missing if function.returns is not None else [*missing, "its return"]


def vague_classes(source: Source) -> list[str]:
    """Return the classes whose names say nothing about what they do."""
    return [
        f"{source.path}:{node.lineno} class {node.name}"
        for node in ast.walk(source.tree())
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(VAGUE_ENDINGS)
        and (source.path, node.name) not in GIVEN_NAMES
    ]


def undocumented_module(source: Source) -> list[str]:
    """Return the module itself when it has code and does not open with its job."""
    tree = source.tree()
    if tree.body and not ast.get_docstring(tree):
        return [f"{source.path}:1 does not open with its job"]
    return []


def root_imports(source: Source) -> list[str]:
    """Return imports of the package's root from within; it is a face for those outside."""
    broken: list[str] = []
    for node in ast.walk(source.tree()):
        plain = isinstance(node, ast.Import) and any(a.name == "visionflow" for a in node.names)
        taken = isinstance(node, ast.ImportFrom) and node.module == "visionflow"
        if plain or taken:
            broken.append(f"{source.path}:{node.lineno} imports the root package")
    return broken


def reorderings(source: Source) -> list[str]:
    """Return what lets one seed run in two orders: asyncio's set-based waits, loops over sets.

    A name or attribute counts as a set when this module annotates it so or assigns it one;
    names by function, attributes by module.
    """
    tree = source.tree()
    broken = {f"{source.path}:{line} {what}" for line, what in _banned_waits(tree)}
    shared = {t for t in _set_targets(ast.walk(tree)) if "." in t}
    shared |= set(_set_targets(_outside_functions(tree)))
    scopes = [(_outside_functions(tree), shared)]
    for function in functions(tree):
        own = _set_parameters(function) | set(_set_targets(ast.walk(function)))
        scopes.append((ast.walk(function), shared | own))
    for nodes, names in scopes:
        for node in _iterated(nodes):
            if _is_set(node) or ast.unparse(node) in names:
                broken.add(f"{source.path}:{node.lineno} iterates the set {ast.unparse(node)}")
    return sorted(broken)


def _outside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, type_of_function):
            waiting.extend(ast.iter_child_nodes(node))


def _banned_waits(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in FREE_TO_REORDER:
            if isinstance(node.value, ast.Name) and node.value.id == "asyncio":
                yield node.lineno, f"uses asyncio.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            for alias in node.names:
                if alias.name in FREE_TO_REORDER:
                    yield node.lineno, f"imports asyncio.{alias.name}"


def _is_set(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp)


def _says_set(annotation: ast.expr | None) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(outer, ast.Name) and outer.id in ("set", "frozenset", "Set", "MutableSet")


def _set_targets(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Assign) and _is_set(node.value):
            yield from map(ast.unparse, node.targets)
        elif isinstance(node, ast.AnnAssign) and (
            _says_set(node.annotation) or _is_set(node.value)
        ):
            yield ast.unparse(node.target)


def _set_parameters(function: Function) -> set[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {a.arg for a in named if _says_set(a.annotation)}


def _iterated(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.iter
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            if node.func.id in ORDER_LEAKS:
                yield node.args[0]
        elif isinstance(node, ast.Starred):
            yield node.value
