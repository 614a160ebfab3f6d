"""Runs a checker over files with their suppressing comments ignored, and again with them heeded
over those files that have any: the difference is what comments hide.

Runs confined, by its file. Arguments: the task as JSON (`all` and `held`, the two command lines,
in which `{output}` is the file that the checker writes; `markers`, one of which stands in every
file with a suppressing comment; `seen`, rules of ruff's that depend on what stands around them, if
any), the output file, then the files.
Writes {"all": what the first wrote, "held": what the second wrote or null, "marked": files,
"tried": places (file, line) of statements that are there to fail, "old": (file, line, name) of
names that only Python 2 has and only it comes to}.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

_OLD_NAMES = frozenset(
    """StandardError apply basestring buffer cmp coerce execfile file intern long raw_input reduce
    reload unichr unicode xrange""".split()
)
_ASKS_VERSION = re.compile(r"py_?[23]|version_info|hexversion|\bsix\b", re.IGNORECASE)
_EXPECTS = re.compile(r"raises|warns|suppress", re.IGNORECASE)
_Place = tuple[str, int]


def main() -> int:
    """Run both; a checker that fails or is killed ends this program the same way."""
    task, output, *files = sys.argv[1:]
    wanted = json.loads(task)
    everything = _run(wanted["all"], output + ".all", files)
    markers = [marker.encode() for marker in wanted["markers"]]
    marked = [file for file in files if _has(file, markers)]
    held = _run(wanted["held"], output + ".held", marked) if marked else b"null"
    seen = frozenset(wanted.get("seen", ()))
    tried, old = _around(everything, seen) if seen else ([], [])
    told = json.dumps({"marked": marked, "tried": tried, "old": old})[1:].encode()
    with open(output, "wb") as file:
        file.write(b'{"all":%b,"held":%b,%b' % (everything, held, told))
    return 0


def _run(command: list[str], output: str, files: list[str]) -> bytes:
    argv = [word.replace("{output}", output) for word in command]
    done = subprocess.run([*argv, *files], check=False)
    if done.returncode < 0:
        os.kill(os.getpid(), -done.returncode)
    if done.returncode:
        sys.exit(done.returncode)
    with open(output, "rb") as file:
        return file.read()


def _around(
    results: bytes, seen: frozenset[str]
) -> tuple[list[_Place], list[tuple[str, int, str]]]:
    """In the files with results of the rules in `seen`: where statements are tried, and where old
    names stand behind a question for the version."""
    names = {each["filename"] for each in json.loads(results) if each["code"] in seen}
    tried: set[_Place] = set()
    old: set[tuple[str, int, str]] = set()
    for name in names:
        try:
            with open(name, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node, in_try, asked in _walk(tree):
            if in_try and isinstance(node, ast.Expr):
                tried.add((name, node.lineno))
            elif (in_try or asked) and isinstance(node, ast.Name) and node.id in _OLD_NAMES:
                old.add((name, node.lineno, node.id))
    return sorted(tried), sorted(old)


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Each node; whether it stands in what is tried; and whether a version was asked for."""
    waiting = [(tree, False, False)]
    while waiting:
        node, in_try, asked = waiting.pop()
        yield node, in_try, asked
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            in_try = False
        elif isinstance(node, ast.If | ast.IfExp):
            asked = asked or bool(_ASKS_VERSION.search(_named(node.test)))
        fields: Iterator[tuple[str, Any]] = ast.iter_fields(node)
        for field, value in fields:
            inside = in_try or (field == "body" and _expects(node))
            below = cast("list[object]", value) if isinstance(value, list) else [value]
            waiting += [(each, inside, asked) for each in below if isinstance(each, ast.AST)]


def _expects(node: ast.AST) -> bool:
    """Whether what stands in its body may fail."""
    if isinstance(node, ast.With | ast.AsyncWith):
        return any(_EXPECTS.search(_named(each.context_expr)) for each in node.items)
    return isinstance(node, ast.Try) and bool(node.handlers)


def _named(expression: ast.AST) -> str:
    """All names in an expression."""
    found = (getattr(each, "id", getattr(each, "attr", "")) for each in ast.walk(expression))
    return " ".join(found)


def _has(name: str, markers: list[bytes]) -> bool:
    try:
        with open(name, "rb") as file:
            content = file.read().lower()
    except OSError:
        return False
    return any(marker in content for marker in markers)


if __name__ == "__main__":
    sys.exit(main())
