"""Calls functions of a strange project with a fixed corpus of values, and writes what came of it.

A program, run confined as `python -s behaviour.py ORDER OUTPUT` on the project's own interpreter
(3.8 and later), from a folder with nothing else of ours, and under a fixed hash seed. Each result
is one line of JSON, written before the next function is begun, so that the caller sees at which one
a process ended. The values and their order are the same every time. What the results mean is
`agents.tools.behaviour`'s job.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import copy
import hashlib
import importlib
import inspect
import io
import itertools
import json
import os
import re
import signal
import sys
import types
import warnings
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CALLS_MAX = 24
CALL_SECONDS = 0.5
ITEMS_MAX = 20
DEPTH_MAX = 6
SHOWN_MAX = 160
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,16}")
_INT = (0, 1, -1, 2, 7, 100)
_STR = ("", "a", "Hello, World", " x ", "0", "12", "a,b", "\xe4\xdf\n")
_ANY: tuple[Any, ...] = (
    0, 1, -3, "", "abc", "1", None, True, 1.5, [], [3, 1, 2], ["b", "a"], {}, {"a": 1}, (1, 2),
    b"x",
)  # fmt: skip
_SIMPLE: dict[str, tuple[Any, ...]] = {
    "int": _INT, "str": _STR, "float": (0.0, 1.0, -1.5, 2.25, 1e9), "bool": (True, False),
    "bytes": (b"", b"a", b"\x00\xff"), "complex": (0j, 1 + 2j), "None": (None,), "object": _ANY,
    "Any": _ANY, "Hashable": (0, "a", None), "Text": _STR, "AnyStr": _STR,
}  # fmt: skip
_LISTS = ("list", "List", "Sequence", "Iterable", "Collection", "MutableSequence")
_FROZEN = ("frozenset", "FrozenSet")
_SETS = (*_FROZEN, "set", "Set", "AbstractSet", "MutableSet")
_MAPS = ("dict", "Dict", "Mapping", "MutableMapping")
_BUILT_IN: tuple[Any, ...] = (list, tuple, dict, set, frozenset)
_kind = cast("Callable[[Any], Any]", type)


class TookTooLong(BaseException):
    """One call used up its time."""


class Unfit(Exception):
    """A function that nothing of the corpus can be given to; the text says why."""


def main(order: str, output: str) -> None:
    """Import what the order names and call its functions."""
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    with open(order, encoding="utf-8") as file:
        asked = json.load(file)
    # A descriptor of its own: called code may close or replace what the standard streams are.
    with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as out:
        sys.path[:1] = asked["roots"]  # in place of this file's own folder
        sys.stdin = io.StringIO("")
        Caller(asked, out).run()


def corpus(annotation: str) -> tuple[Any, ...]:
    """Values for a parameter annotated so; the empty text is one without an annotation.

    Raises:
        Unfit: there are none of such a type.
    """
    text = annotation.strip().strip("'\"").strip()
    if not text:
        return _ANY
    choices = _split(text, "|")
    if len(choices) > 1:
        return _joined(choices)
    head, bracket, rest = text.partition("[")
    name = head.strip().rpartition(".")[2]
    inner = _split(rest.rpartition("]")[0], ",") if bracket else []
    if name in _SIMPLE and not inner:
        return _SIMPLE[name]
    if name == "Literal":
        return tuple(ast.literal_eval(each) for each in inner)
    if name == "Optional" and inner:
        return (None, *corpus(inner[0]))
    if name == "Union" and inner:
        return _joined(inner)
    if name in ("Annotated", "Final") and inner:
        return corpus(inner[0])
    return _containers(name, inner, text)


def _containers(name: str, inner: list[str], text: str) -> tuple[Any, ...]:
    if name in _LISTS or name in _SETS:
        one = corpus(inner[0]) if inner else _INT
        made = (one[:0], one[:1], one[1:4], one[:3] * 2)
        if name in _LISTS:
            return tuple(list(each) for each in made)
        try:
            return tuple((frozenset if name in _FROZEN else set)(each) for each in made)
        except TypeError:
            raise Unfit("no value of the corpus can be in a set") from None
    if name in ("tuple", "Tuple"):
        if not inner:
            return ((), (1,), (1, 2))
        if inner[-1] == "...":
            one = corpus(inner[0])
            return ((), one[:1], one[1:4])
        each = [corpus(part) for part in inner if part != "()"]
        longest = max([len(values) for values in each] or [1])
        return tuple(
            tuple(values[n % len(values)] for values in each) for n in range(min(longest, 5))
        )
    if name in _MAPS:
        keys = corpus(inner[0])[1:] if inner else _STR[1:]
        values = corpus(inner[1]) if len(inner) > 1 else _INT
        pairs = list(zip(keys, values))  # noqa: B905  (3.8 knows no `strict`)
        return ({}, dict(pairs[:1]), dict(pairs[:3]))
    raise Unfit(f"no value of the corpus is a {text[:60]}")


def _joined(annotations: list[str]) -> tuple[Any, ...]:
    """A few values of each; of those that the corpus has nothing of, none."""
    found: list[Any] = []
    for each in annotations:
        with contextlib.suppress(Unfit):
            found += corpus(each)[:4]
    if not found:
        raise Unfit(f"no value of the corpus is one of {', '.join(annotations)[:60]}")
    return tuple(found)


def _split(text: str, at: str) -> list[str]:
    """Parted where `at` stands outside of brackets."""
    parts: list[str] = []
    depth = begin = 0
    for place, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == at and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [part.strip() for part in (*parts, text[begin:]) if part.strip()]


def arguments(function: types.FunctionType) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """(positional, by name) of each call, at most `CALLS_MAX`, the same every time.

    Raises:
        Unfit: a parameter is of a type that the corpus has nothing of.
    """
    positional: list[tuple[Any, ...]] = []
    named: dict[str, tuple[Any, ...]] = {}
    for one in inspect.signature(function, follow_wrapped=False).parameters.values():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        values: tuple[Any, ...] = ()
        try:
            values = corpus(_written(one.annotation))
        except (Unfit, ValueError, SyntaxError) as error:
            if one.default is one.empty:
                raise Unfit(f"parameter {one.name}: {error}") from None
        if one.default is not one.empty:
            values = (one.default, *values)
        if one.kind is one.KEYWORD_ONLY:
            named[one.name] = values
        else:
            positional.append(values)
    rows = _rows([*positional, *named.values()])
    width = len(positional)
    return [(row[:width], dict(zip(named, row[width:]))) for row in rows]  # noqa: B905


def _rows(sets: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Every combination; where there are too many, each set is gone through at its own stride."""
    whole = list(itertools.islice(itertools.product(*sets), CALLS_MAX + 1))
    if len(whole) <= CALLS_MAX:
        return whole
    return [
        tuple(
            values[(number * (2 * place + 1) + number // len(values)) % len(values)]
            for place, values in enumerate(sets)
        )
        for number in range(CALLS_MAX)
    ]


def _written(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    return str(annotation)


class Caller:
    """Imports modules and calls their functions, telling each outcome."""

    def __init__(self, asked: dict[str, Any], out: io.TextIOBase) -> None:
        self.asked = asked
        self.out = out
        self.skip = set(asked["skip"])

    def run(self) -> None:
        """Everything that was asked for and is not to be left out."""
        for module, names in self.asked["modules"]:
            if module in self.skip:
                continue
            self._tell({"begin": module})
            loaded = self._load(module)
            if isinstance(loaded, str):
                self._tell({"module": module, "why": loaded})
                continue
            for name in names:
                whole = f"{module}:{name}"
                if whole not in self.skip:
                    self._tell({"begin": whole})
                    self._tell({"function": whole, **self._calls(loaded, name)})
        self._tell({"end": True})

    def _tell(self, line: dict[str, Any]) -> None:
        self.out.write(json.dumps(line, sort_keys=True) + "\n")
        self.out.flush()

    def _load(self, module: str) -> Any:
        """The module, or in words why it cannot be imported."""
        kind, value = self._held(lambda: importlib.import_module(module), self.asked["load_s"])
        if kind == "value":
            return value
        said = " ".join(_plain(str(value)).split())[:SHOWN_MAX]
        return f"its module cannot be imported: {type(value).__name__}: {said}"

    def _calls(self, module: Any, name: str) -> dict[str, Any]:
        function = getattr(module, name, None)
        if not isinstance(function, types.FunctionType):
            return {"why": "it is no plain function once its module is imported"}
        if function.__module__ != module.__name__:
            return {"why": "a decorator put something else in its place"}
        try:
            ways = arguments(function)
        except Unfit as error:
            return {"why": str(error)}
        except Exception as error:
            return {"why": f"its parameters cannot be read: {type(error).__name__}"}
        made: list[list[Any]] = []
        for positional, named in ways:
            one = self._call(function, positional, named)
            if one is None:
                return {"why": f"a call took longer than {CALL_SECONDS} s"}
            made.append(one)
        return {"calls": made}

    def _call(
        self, function: Callable[..., Any], positional: tuple[Any, ...], named: dict[str, Any]
    ) -> list[Any] | None:
        """[arguments as written, value or raised, what, its digest, whether the arguments fit];
        `None`: it did not end in time."""
        words = [told(each) for each in positional]
        words += [f"{key}={told(each)}" for key, each in named.items()]
        try:
            args, keywords = copy.deepcopy((positional, named))
        except Exception:
            args, keywords = positional, named  # A default of its own that cannot be copied.
        before = told([args, keywords])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            kind, value = self._held(lambda: _settled(function(*args, **keywords)), CALL_SECONDS)
            if kind == "late":
                return None
            whole = told(value) if kind == "value" else type(value).__name__
            after = told([args, keywords])
        if printed.getvalue():
            whole += f"; printed {_plain(repr(printed.getvalue()))}"
        if after != before:
            whole += f"; left its arguments as {after}"
        fits = kind == "value" or not isinstance(value, (TypeError, AttributeError))
        digest = hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()[:24]
        return [", ".join(words)[:SHOWN_MAX], kind, whole[:SHOWN_MAX], digest, fits]

    def _held(self, call: Callable[[], Any], seconds: float) -> tuple[str, Any]:
        """(`value`, `raised` or `late`; what it gave)."""

        def late(*_: object) -> None:
            raise TookTooLong

        before = signal.signal(signal.SIGALRM, late)
        # Again and again: code that catches everything must not keep the first one to itself.
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
        try:
            return "value", call()
        except TookTooLong:
            return "late", TimeoutError(f"longer than {seconds} s")
        except BaseException as error:
            return "raised", error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _settled(value: Any) -> Any:
    """What a call comes to: a coroutine's result, the first items of an iterator."""
    if inspect.iscoroutine(value):
        return asyncio.run(value)
    if inspect.isgenerator(value) or type(value) in (map, filter, zip):
        return ["items", *itertools.islice(value, ITEMS_MAX)]
    return value


def told(value: Any, depth: int = 0) -> str:
    """The value as text that depends neither on addresses nor on the order of a set; what is made
    of built-in types alone is written as Python reads it."""
    kind = _kind(value)
    if depth < DEPTH_MAX and kind in _BUILT_IN and value:
        return _held_in(value, kind, depth + 1)
    try:
        text = _plain(repr(value))
        plain = kind.__repr__ is object.__repr__ and depth < DEPTH_MAX
        held: dict[str, Any] = getattr(value, "__dict__", {}) if plain else {}
        return f"{text} {told(held, depth + 1)}" if held else text
    except Exception as error:
        return f"a {kind.__name__} that cannot be shown: {type(error).__name__}"


def _held_in(value: Any, kind: Any, depth: int) -> str:
    if kind is dict:
        pairs = [f"{told(k, depth)}: {told(v, depth)}" for k, v in value.items()]
        return f"{{{', '.join(pairs)}}}"
    inside = [told(each, depth) for each in value]
    if kind is list:
        return f"[{', '.join(inside)}]"
    if kind is tuple:
        return f"({', '.join(inside)}{',' if len(inside) == 1 else ''})"
    ordered = ", ".join(sorted(inside))
    return f"{{{ordered}}}" if kind is set else f"frozenset({{{ordered}}})"


def _plain(text: str) -> str:
    return _ADDRESS.sub("0x", text)


if __name__ == "__main__":
    main(*sys.argv[1:3])
