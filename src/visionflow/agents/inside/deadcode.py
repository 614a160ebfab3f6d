"""What each of some files defines and which names it uses, by vulture.

Runs confined, by its file. Arguments: the output file, then the files. Writes for each file
{"used": names, "defined": [[kind, name, first line, last line, the line of its own, the comment
that hides it or null], ...], "unreachable": [[message, first line, last line, comment], ...]}, or
why it could not be read. Which definitions nothing uses can only be told over all files.

Definitions that something outside may reach are left out here: decorated ones, dunder names,
methods of classes with bases, classes with bases that are no exceptions, nested functions'
arguments, and all that stands in type stubs (there names count as used). A name in `used` that ends
with `*` stands for all that begin so: names that are put together for getattr. One that begins with
`#` is the beginning of the SHA-256 of a name that stands in a text.
"""

import ast
import hashlib
import importlib
import json
import pkgutil
import re
import sys
import tokenize
from pathlib import Path
from typing import Any

KINDS = ("function", "class", "method", "property")
_HARMLESS_DECORATORS = {"staticmethod", "classmethod", "property"}
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)*")
_COMMENT = re.compile(r"#\s*noqa.*", re.IGNORECASE)
_PLAIN_BASES = {"object", "Exception", "ValueError", "RuntimeError", "TypeError", "KeyError",
                "LookupError", "OSError", "Generic", "Protocol"}  # fmt: skip
# Vulture asks for the whole path whether a file is a test's; ours must not decide.
_ROOT = Path("/worktree")


def main() -> int:
    """Read all files; one that does not parse is told of in words."""
    output, *files = sys.argv[1:]
    found = {file: _read(file) for file in files}
    with open(output, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return 0


def _read(name: str) -> "dict[str, Any] | str":
    try:
        with tokenize.open(name) as file:
            text = file.read()
        tree = ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return "does not parse"
    except (RecursionError, MemoryError):
        return "is nested too deeply"
    except OSError:
        return "cannot be read"
    try:
        return _names(name, text, tree)
    except (RecursionError, MemoryError):
        return "is nested too deeply"


def _names(name: str, text: str, tree: ast.Module) -> dict[str, Any]:
    core = _vulture()
    lines = text.splitlines()
    seen = core.Vulture()
    seen.scan(text, filename=_ROOT / name)
    used = set(seen.used_names)
    facts = _Facts(name.endswith("__init__.py"))
    facts.visit(tree)
    used |= facts.used
    for item in seen.defined_imports:
        used |= _whitelisted(str(item.name))

    def comment(line: int, kind: str) -> "str | None":
        hidden = seen.noqa_lines
        if line not in hidden["all"] and line not in hidden[core.ERROR_CODES[kind]]:
            return None
        found = _COMMENT.search(lines[line - 1]) if line <= len(lines) else None
        return found[0] if found else "a noqa comment"

    items = [*seen.defined_funcs, *seen.defined_methods, *seen.defined_classes,
             *seen.defined_props]  # fmt: skip
    if name.endswith(".pyi"):
        used |= {item.name for item in items}
        return {"used": sorted(used), "defined": [], "unreachable": []}
    defined = [
        [facts.kinds[item.name, item.first_lineno], item.name, item.first_lineno,
         item.last_lineno, facts.own[item.name, item.first_lineno],
         comment(item.first_lineno, item.typ)]
        for item in items
        if (item.name, item.first_lineno) in facts.kinds
    ]  # fmt: skip
    unreachable = [
        [item.message, item.first_lineno, item.last_lineno,
         comment(item.first_lineno, "unreachable_code")]
        for item in seen.unreachable_code
        if _is_told(item.message) and item.first_lineno not in facts.yields
    ]  # fmt: skip
    return {"used": sorted(used), "defined": sorted(defined, key=str),
            "unreachable": sorted(unreachable, key=str)}  # fmt: skip


def _vulture() -> Any:
    """Its core, which heeds no comments here: what they hide is told of too. It has no types."""
    core: Any = importlib.import_module("vulture.core")
    core.noqa.ignore_line = _heeds_nothing
    return core


def _heeds_nothing(noqa_lines: dict[str, set[int]], lineno: int, error_code: str) -> bool:
    return False


def _is_told(message: str) -> bool:
    """Conditions that are always false are written on purpose; code after a return is not."""
    return message.startswith("unreachable code after") and "'with'" not in message


class _Facts(ast.NodeVisitor):
    """What vulture does not tell: who may reach a definition from outside, and more uses."""

    def __init__(self, is_package: bool) -> None:
        self.is_package = is_package
        self.kinds: dict[tuple[str, int], str] = {}
        self.own: dict[tuple[str, int], int] = {}
        self.used: set[str] = set()
        self.yields: set[int] = set()
        self.classes: list[ast.ClassDef] = []
        self.inside_function = 0

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        plain = all(_plain_base(base) for base in node.bases) and not node.keywords
        if not node.decorator_list and plain:
            self._define("class", node)
        self.classes.append(node)
        outer, self.inside_function = self.inside_function, 0
        self.generic_visit(node)
        self.inside_function = outer
        self.classes.pop()

    def visit_FunctionDef(self, node: "ast.FunctionDef | ast.AsyncFunctionDef") -> None:
        names = {_name(each) for each in node.decorator_list}
        dunder = node.name.startswith("__") and node.name.endswith("__")
        method = bool(self.classes) and not self.inside_function
        open_class = method and bool(self.classes[-1].bases or self.classes[-1].keywords)
        if names <= _HARMLESS_DECORATORS and not dunder and not open_class:
            kind = "property" if "property" in names else "method" if method else "function"
            self._define(kind, node)
        self.inside_function += 1
        self.generic_visit(node)
        self.inside_function -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """What a package takes up from its modules is what it offers."""
        if self.is_package:
            self.used |= {each.name for each in node.names}

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id == "__all__":
            found = (getattr(each, "value", None) for each in ast.walk(node.value))
            self.used |= {each for each in found if isinstance(each, str)}
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A text that is a name or a path of names may be how something is found."""
        if isinstance(node.value, str) and len(node.value) < 200:
            if _DOTTED.fullmatch(node.value):
                # Not as they stand: a secret may look like a name.
                self.used |= {_mark(word) for word in re.split("[.:]", node.value)}

    def visit_Call(self, node: ast.Call) -> None:
        """`getattr(self, f"visit_{name}")` and its kin reach every name that begins so."""
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
            whole = isinstance(node.args[1], ast.Constant)
            begins = "" if whole else _beginning(node.args[1])
            if begins.isidentifier():
                self.used.add(begins + "*")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        # A yield that is never reached makes a function a generator.
        if isinstance(node.value, (ast.Yield, ast.YieldFrom)):
            self.yields.add(node.lineno)
        self.generic_visit(node)

    def _define(
        self, kind: str, node: "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"
    ) -> None:
        first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
        self.kinds[node.name, first] = kind
        self.own[node.name, first] = node.lineno


def _mark(word: str) -> str:
    """What stands for a word of a text among the used names."""
    return "#" + hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _beginning(text: ast.expr) -> str:
    """The fixed text at the start of one that is put together; empty without any."""
    if isinstance(text, ast.JoinedStr) and text.values:
        return _beginning(text.values[0])
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        return _beginning(text.left)
    if isinstance(text, ast.BinOp) and isinstance(text.op, ast.Mod):
        return _beginning(text.left).partition("%")[0]
    found = text.value if isinstance(text, ast.Constant) else ""
    return found if isinstance(found, str) else ""


def _plain_base(base: ast.expr) -> bool:
    if isinstance(base, ast.Subscript):
        base = base.value
    return isinstance(base, ast.Name) and base.id in _PLAIN_BASES


def _name(decorator: ast.expr) -> str:
    if isinstance(decorator, ast.Name):
        return decorator.id
    return "?"


_whitelists: dict[str, set[str]] = {}


def _whitelisted(module: str) -> set[str]:
    """The names that a known library uses of what is handed to it, by vulture's lists."""
    if module not in _whitelists:
        core = _vulture()
        try:
            data = pkgutil.get_data("vulture", f"whitelists/{module}_whitelist.py")
        except (OSError, ValueError):
            data = None
        names: set[str] = set()
        if data is not None:
            known = core.Vulture()
            known.scan(data.decode("utf-8"), filename=_ROOT / "whitelist.py")
            names = set(known.used_names)
        _whitelists[module] = names
    return _whitelists[module]


if __name__ == "__main__":
    sys.exit(main())
