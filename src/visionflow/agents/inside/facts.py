"""Writes down what stands in Python files: imports, definitions, remarks, complexity.

A program, run confined as `python -I facts.py OUTPUT FILE...` with nothing of ours importable. A
file that cannot be parsed is named with the reason; one that ends this process is found by the
caller. What the facts mean (which module an import is, say) is `agents.study`'s job.
"""

import ast
import io
import json
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator
from typing import Any, cast

TOP, IN_FUNCTION, TYPING = 0, 1, 2
FILE_BYTES_MAX = 5_000_000
TODOS_MAX = 500
NAMED_MAX = 2_000
TEXT_MAX = 300
_WORDS = "TODO|FIXME|XXX|HACK"
_MAYBE_TODO = re.compile(rf"#[^\n]*\b(?:{_WORDS})\b")
_TODO = re.compile(rf"^#[\W_]*({_WORDS})\b[:\s]*(.*)|\b({_WORDS})(?=[:(])[:\s]*(.*)", re.DOTALL)
_CONDITIONS = ("version_info", "platform", "name", "implementation", "hexversion", "PY2", "PY3")
_SETUP_KEYS = ("install_requires", "extras_require", "tests_require", "entry_points")
_IMPORTERS, _FINDER = ("import_module", "__import__"), "find_spec"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class Unreadable(Exception):
    """The file cannot be parsed; the text says why."""


def main(output: str, files: list[str]) -> None:
    """Write the facts of all `files` to `output` as JSON."""
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    not_read: list[tuple[str, str]] = []
    for file in files:
        try:
            found[file] = facts_of(file)
        except Unreadable as error:
            not_read.append((file, str(error)))
    with open(output, "w", encoding="utf-8") as out:
        json.dump({"files": found, "not_read": not_read}, out)


def facts_of(file: str) -> dict[str, Any]:
    """Everything that is known of one file.

    Raises:
        Unreadable: it is no Python that this interpreter can parse.
    """
    text = _text(file)
    tree = _parsed(text)
    complexity = _complexity(text)
    walk = _Walk(complexity or {}, any(name in text for name in (*_IMPORTERS, _FINDER)))
    walk.run(tree)
    return {
        "lines": text.count("\n") + (not text.endswith("\n") and text != ""),
        "imports": walk.imports,
        "definitions": walk.definitions,
        "todos": _todos(text),
        "guard": walk.guard,
        "dynamic": walk.dynamic,
        "named": _named(tree) if walk.dynamic else [],
        "complexity": None if complexity is None else sum(complexity.values()),
        "setup": _setup(tree) if file in ("./setup.py", "setup.py") else None,
    }


def _text(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            raw = opened.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise Unreadable(f"larger than {FILE_BYTES_MAX // 1_000_000} MB")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        text = raw.decode(encoding)
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from None
    except (SyntaxError, LookupError):
        raise Unreadable("its encoding is not UTF-8 and not one that it names") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start} is not {error.encoding}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise Unreadable(f"{where}{error.msg}") from None
    except ValueError as error:
        raise Unreadable(str(error)) from None
    except (RecursionError, MemoryError):
        raise Unreadable("it is nested too deeply to be parsed") from None


def _complexity(text: str) -> dict[int, int] | None:
    """Cognitive complexity by the line a function (or its first decorator) begins on."""
    try:
        from complexipy import code_complexity

        found = code_complexity(text, no_ignore=True, with_plans=False)
    except (ImportError, ValueError):
        return None
    return {each.line_start: each.complexity for each in found.functions}


def _todos(text: str) -> list[tuple[str, str, int]]:
    """(word, text, line) of each comment that says something is left to do."""
    if _MAYBE_TODO.search(text) is None:
        return []
    found: list[tuple[str, str, int]] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            match = _TODO.search(token.string) if token.type == tokenize.COMMENT else None
            if match is not None:
                said = match[2] if match[1] else match[4]
                found.append((match[1] or match[3], said.strip()[:TEXT_MAX], token.start[0]))
            if len(found) == TODOS_MAX:
                break
    except (tokenize.TokenError, SyntaxError, RecursionError):
        pass
    return found


class _Walk:
    """Goes through all statements, without recursion: a file may be nested to any depth."""

    def __init__(self, complexity: dict[int, int], calls: bool) -> None:
        self.complexity = complexity
        self.calls = calls
        self.imports: list[tuple[str, list[str], int, int, int, bool]] = []
        self.definitions: list[tuple[str, str, int, int, int | None]] = []
        self.guard: int | None = None
        self.dynamic = False

    def run(self, tree: ast.Module) -> None:
        waiting: list[tuple[ast.AST, str, int, bool]] = [
            (node, "", TOP, False) for node in reversed(tree.body)
        ]
        while waiting:
            node, scope, kind, guarded = waiting.pop()
            self._see(node, scope, kind, guarded)
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                scope = f"{scope}.{node.name}" if scope else node.name
                if kind == TOP and not isinstance(node, ast.ClassDef):
                    kind = IN_FUNCTION
            below = list(_below(node, kind, guarded))
            waiting += [(each, scope, how, maybe) for each, how, maybe in reversed(below)]

    def _see(self, node: ast.AST, scope: str, kind: int, guarded: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports.append((alias.name, [], 0, node.lineno, kind, guarded))
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            self.imports.append((node.module or "", names, node.level, node.lineno, kind, guarded))
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            name = f"{scope}.{node.name}" if scope else node.name
            word = "class" if isinstance(node, ast.ClassDef) else "function"
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            weight = None if word == "class" else self.complexity.get(first)
            self.definitions.append((name, word, node.lineno, node.end_lineno or 0, weight))
        elif isinstance(node, ast.If) and not scope and _is_main(node.test):
            self.guard = self.guard or node.lineno
        elif isinstance(node, ast.Assign):
            self._plugins(node)
        if self.calls and isinstance(node, ast.stmt):
            self._calls(node, kind, guarded)

    def _plugins(self, node: ast.Assign) -> None:
        """Pytest imports what a conftest names in `pytest_plugins`."""
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if "pytest_plugins" in names:
            for text, line in _strings(node.value, {}) or []:
                if _is_dotted(text):
                    self.imports.append((text, [], 0, line, TOP, False))

    def _calls(self, statement: ast.stmt, kind: int, guarded: bool) -> None:
        """Imports by call: with a literal name they are imports like others. Who asks whether a
        module is there can do without it."""
        for call in _calls_in(statement):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else None
            name = call.func.id if isinstance(call.func, ast.Name) else name
            if name not in (*_IMPORTERS, _FINDER) or not call.args:
                continue
            first = call.args[0]
            value = first.value if isinstance(first, ast.Constant) else None
            if isinstance(value, str) and _is_dotted(value):
                maybe = guarded or name == _FINDER
                self.imports.append((value, [], 0, call.lineno, kind, maybe))
            elif name != _FINDER:
                self.dynamic = True


def _below(node: ast.AST, kind: int, guarded: bool) -> Iterator[tuple[ast.AST, int, bool]]:
    """The statements inside a statement, with how an import among them counts."""
    typing_in = _typing_branch(node)
    if isinstance(node, ast.Try | ast.TryStar):
        guarded = guarded or any(_catches_import(each) for each in node.handlers)
    elif isinstance(node, ast.If):
        guarded = guarded or _depends_on_machine(node.test)
    for field in _BLOCKS:
        inside = getattr(node, field, None)
        if isinstance(inside, list):
            how = TYPING if field == typing_in else kind
            for each in cast("list[ast.AST]", inside):
                yield each, how, guarded


def _typing_branch(node: ast.AST) -> str | None:
    """The block of an `if TYPE_CHECKING` that does not run."""
    if not isinstance(node, ast.If):
        return None
    test, branch = node.test, "body"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, branch = test.operand, "orelse"
    name = test.attr if isinstance(test, ast.Attribute) else None
    name = test.id if isinstance(test, ast.Name) else name
    return branch if name == "TYPE_CHECKING" else None


def _catches_import(handler: ast.ExceptHandler) -> bool:
    wanted = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    if handler.type is None:
        return True
    listed = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in wanted for each in listed)


def _depends_on_machine(test: ast.expr) -> bool:
    for node in _bounded(test):
        if isinstance(node, ast.Attribute) and node.attr in _CONDITIONS:
            return True
        if isinstance(node, ast.Name) and node.id in _CONDITIONS:
            return True
    return False


def _is_main(test: ast.expr) -> bool:
    if not isinstance(test, ast.Compare) or len(test.comparators) != 1:
        return False
    sides = (test.left, test.comparators[0])
    named = any(isinstance(each, ast.Name) and each.id == "__name__" for each in sides)
    return named and any(isinstance(e, ast.Constant) and e.value == "__main__" for e in sides)


def _named(tree: ast.Module) -> list[str]:
    """Texts that could be the name of a module, in a file that imports by computed names."""
    found: set[str] = set()
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and len(value) < TEXT_MAX:
            name = value.partition(":")[0]
            if _is_dotted(name.lstrip(".")):
                found.add(name)
    return sorted(found)[:NAMED_MAX]


def _is_dotted(text: str) -> bool:
    return bool(text) and all(part.isidentifier() for part in text.split("."))


def _bounded(node: ast.AST, limit: int = 200) -> Iterator[ast.AST]:
    """The node and what is in it, up to a number."""
    for number, each in enumerate(ast.walk(node)):
        if number == limit:
            return
        yield each


def _calls_in(statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls in a statement's own expressions; statements inside it come by themselves."""
    waiting: list[ast.AST] = [
        each for each in ast.iter_child_nodes(statement) if not isinstance(each, ast.stmt)
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ExceptHandler | ast.match_case):
            continue
        if isinstance(node, ast.Call):
            yield node
        waiting += ast.iter_child_nodes(node)


def _setup(tree: ast.Module) -> dict[str, list[tuple[str, int]] | None]:
    """Of the call of `setup`: the texts in each list that matters; `None` where they are not
    written down literally."""
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: dict[str, list[tuple[str, int]] | None] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name != "setup":
            continue
        for word in node.keywords:
            if word.arg is None:
                # What a `**settings` holds is not looked up.
                found |= dict.fromkeys((k for k in _SETUP_KEYS if k not in found), None)
            elif word.arg in _SETUP_KEYS:
                found[word.arg] = _strings(word.value, names)
    return found


def _strings(
    value: ast.expr, names: dict[str, ast.expr], depth: int = 0
) -> list[tuple[str, int]] | None:
    """The texts in a literal, with their lines; `None` where part of it is no literal."""
    if isinstance(value, ast.Name) and depth < 20:
        held = names.get(value.id)
        return None if held is None else _strings(held, names, depth + 1)
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        # An ini-like text has one entry a line.
        whole = value.value.encode("utf-8", "replace").decode("utf-8")
        return [(line, value.lineno) for line in whole.splitlines() if line.strip()]
    if isinstance(value, ast.Dict):
        inside: list[ast.expr] = value.values
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        inside = value.elts
    else:
        return None
    found: list[tuple[str, int]] = []
    for each in inside:
        part = _strings(each, names, depth + 1) if depth < 20 else None
        if part is None:
            return None
        found += part
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
