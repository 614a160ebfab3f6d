"""Compares what two versions of a file compile to, without running either.

A program, run confined as `python -I codes.py ORDER OUTPUT` with nothing of ours importable: the
parser reads strangers' files. Each result is one line of JSON, written before the next pair is
begun, so that the caller sees at which one a process ended. Calling functions is `behaviour`'s job.
"""

import ast
import copy
import inspect
import json
import os
import sys
import types
import warnings
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_POSITIONS = (("lineno", 1), ("end_lineno", 1), ("col_offset", 0), ("end_col_offset", 0))
_ERROR_MAX = 200


def main(order: str, output: str) -> None:
    """Compare each pair of files that the order names."""
    warnings.simplefilter("ignore")
    with open(order, encoding="utf-8") as file:
        pairs: list[tuple[str, str]] = json.load(file)["pairs"]
    with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as out:
        for number, (before, after) in enumerate(pairs):
            print(json.dumps({"pair": number, **compare(before, after)}), file=out, flush=True)


def compare(before: str, after: str) -> dict[str, Any]:
    """Which parts of two versions of a file do not compile to the same.

    `same`: everything does, positions and the layout of docstrings left out. `functions`: those
    of the module that do not; `methods`: those of its classes; `body`: whether any other statement
    of the module does not; `all`: every function of the module after; `error`: why nothing can be
    told.
    """
    told: dict[str, Any] = {"same": False, "body": False, "error": None}
    told |= {"functions": [], "methods": [], "all": []}
    try:
        old, new = _parsed(before), _parsed(after)
        if _code(old) == _code(new):
            return told | {"same": True}
        old_own, old_methods, old_rest = _taken_apart(old)
        new_own, new_methods, new_rest = _taken_apart(new)
        return told | {
            "functions": _differing(old_own, new_own),
            "methods": _differing(old_methods, new_methods),
            "body": _code(old_rest) != _code(new_rest),
            "all": sorted(set(old_own) & set(new_own)),
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        return told | {"error": f"{type(error).__name__}: {error}"[:_ERROR_MAX]}


def _parsed(path: str) -> ast.Module:
    """The file without what cannot matter: positions, and the indentation of docstrings."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _plain_docstring(node.body)
    for node in ast.walk(tree):
        # The compiler leaves marks where a new line begins, so all stand on one.
        if isinstance(node, ast.stmt | ast.expr) or hasattr(node, "lineno"):
            for name, value in _POSITIONS:
                setattr(node, name, value)
    return tree


def _plain_docstring(body: list[ast.stmt]) -> None:
    value = body[0].value if body and isinstance(body[0], ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        body[0] = ast.Expr(ast.Constant(inspect.cleandoc(value.value).rstrip()))


_Named = dict[str, list[ast.stmt]]


def _taken_apart(tree: ast.Module) -> tuple[_Named, _Named, ast.Module]:
    """(functions, methods, the rest) of a module; the first two by name."""
    own: _Named = {}
    methods: _Named = {}
    rest: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, _FUNCTIONS):
            own.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.ClassDef):
            rest.append(_shell(statement))
            for each in statement.body:
                if isinstance(each, _FUNCTIONS):
                    methods.setdefault(f"{statement.name}.{each.name}", []).append(each)
        else:
            rest.append(statement)
    return own, methods, _module(rest)


def _shell(of: ast.ClassDef) -> ast.ClassDef:
    """A class without its methods."""
    made = copy.copy(of)
    nothing = ast.Pass(**dict(_POSITIONS))
    made.body = [each for each in of.body if not isinstance(each, _FUNCTIONS)] or [nothing]
    return made


def _module(body: list[ast.stmt]) -> ast.Module:
    return ast.Module(body=body, type_ignores=[])


def _differing(old: _Named, new: _Named) -> list[str]:
    """Names that one side lacks or that compile to something else."""
    return sorted(
        name
        for name in set(old) | set(new)
        if _code(_module(old.get(name, []))) != _code(_module(new.get(name, [])))
    )


def _code(tree: ast.Module) -> tuple[object, ...]:
    return _parts(compile(tree, "module", "exec", dont_inherit=True, optimize=0))


def _parts(code: types.CodeType) -> tuple[object, ...]:
    """Everything of a code object that a run of it can depend on, but for where it stands."""
    return (
        code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount,
        code.co_flags, code.co_code, code.co_names, code.co_varnames, code.co_freevars,
        code.co_cellvars, getattr(code, "co_exceptiontable", b""),
        tuple(_constant(each) for each in code.co_consts),
    )  # fmt: skip


def _constant(value: object) -> object:
    if isinstance(value, types.CodeType):
        return _parts(value)
    if isinstance(value, tuple):
        return ("tuple", *(_constant(each) for each in _objects(value)))
    if isinstance(value, frozenset):
        return ("frozenset", *sorted(repr(_constant(each)) for each in _objects(value)))
    return (type(value).__name__, repr(value))


def _objects(values: Any) -> list[object]:
    return list(values)


if __name__ == "__main__":
    main(*sys.argv[1:3])
