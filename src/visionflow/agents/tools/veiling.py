"""Values that tools called secrets in this run, and texts in which they are replaced.

The tools hand over no value: they tell its place and a short hash of it. `values_of` finds the
value again in the lines of the file, `KnownSecrets` replaces it wherever it stands: in a failure's
message, a commit's, a quoted line. Reading the files, and knowing which texts a run writes, is the
caller's job. Nothing here is stored.
"""

import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote

import msgspec

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.tools.hiding import short_hash
from visionflow.domain.secrecy import SHAPES

LENGTH_MIN = 6
"""Shorter values are not replaced: they stand in too many words that have nothing to do with it."""
MARK = "[secret SHA-256 "
_RULES = {
    "bandit": ("B105", "B106", "B107"),
    "ruff": ("S105", "S106", "S107"),
}
_KEY_RULE = "PrivateKeyDetector"
_LINES_MAX = 60
"""Of a statement that bandit points at."""
_KEY_LINES_MAX = 400
_TRIED_LENGTH = 400
"""Of a line whose every part is tried when nothing that looks like a value has the right hash."""
_CUT = re.compile(r"…|\.{3}")
_HASH = re.compile(r"SHA-256 ([0-9a-f]{8})")
_QUOTED = re.compile(r"\"\"\"(.*?)\"\"\"|'''(.*?)'''|\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'")
_TOKEN = re.compile(r"[^\s\"'`,;()\[\]{}<>]+")
_SET = re.compile(r"[=:]\s*([^\s\"'`]+)\s*$")
_IN_ADDRESS = re.compile(r"://[^\s/:@'\"]*:([^\s/@'\"]+)@")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_WORD = re.compile(r"[A-Za-z]+(?:[ _./:-][A-Za-z]+)*[.:!? ]*|\d+|[0-9a-zA-Z]{1,9}")
"""Stands elsewhere as itself too: replaced only where it is not part of a longer word."""
_NAMES_ONE = re.compile(
    r"[\W_]*(?:(?:pass(?:wo?r?d|phrase)?|pwd|secrets?|tokens?|api|auth|private|public|access|key|"
    r"user(?:name)?|credentials?|bearer|basic|default|example|changeme|change|me|your|my|the|test|"
    r"none|null|true|false|undefined|placeholder|redacted|here|value|name|field|type|id)[\W_]*)+",
    re.IGNORECASE,
)
"""A name for a secret, or for none: replacing it would hide nothing and garble much."""
_NAME_MAX = 40
_STRUCTURE = frozenset(
    "agent at branch by choice digest ended fingerprint fingerprints focus gates head id kind out "
    "outcome path phase place playbook role rule rules run severity started status t task tip "
    "tool type verdict worker workspace".split()
)
"""Fields in which a plain word is a word of ours, or a place."""
_OWN_PLACES = frozenset({"run", "out", "workspace", "head", "commands"})
"""Fields that must stay usable: what they hold comes from the caller, not from the files."""

T = TypeVar("T")


def secret_findings(runs: Iterable[ToolRun]) -> tuple[Finding, ...]:
    """The findings whose value is a secret, the suppressed ones too."""
    found = (f for run in runs for f in (*run.findings, *(s.finding for s in run.suppressed)))
    return tuple(each for each in found if _is_secret(each))


def values_of(finding: Finding, lines: Sequence[str]) -> frozenset[str]:
    """The values that this finding is about, from the lines of its file; empty where there are
    none, as where the file is another one by now."""
    first = finding.line - 1
    if not 0 <= first < len(lines):
        return frozenset()
    if finding.rule == _KEY_RULE:
        return frozenset(_key_lines(lines[first : first + _KEY_LINES_MAX]))
    last = min(max(finding.end_line or 0, finding.line), finding.line + _LINES_MAX)
    text = "\n".join(lines[first:last])
    told = _HASH.search(finding.message)
    if told is not None:
        exact = _with_hash(told[1], text, lines[first])
        if exact:
            return frozenset(exact)
    likely = {each for pair in _candidates(text, whole=False) for each in pair}
    return frozenset(each for each in likely if not _WORD.fullmatch(each))


def _is_secret(finding: Finding) -> bool:
    return finding.tool == "detect-secrets" or finding.rule in _RULES.get(finding.tool, ())


def _key_lines(lines: Sequence[str]) -> Iterator[str]:
    """The body of a key, line by line: that is how it comes apart in other texts."""
    for number, line in enumerate(lines):
        after = line.partition("BEGIN")[2].partition("KEY")[2] if number == 0 else line
        body, ends, _ = after.partition("-----END")
        yield from _KEY_LINE.findall(body.replace("\\n", " ").replace("\\r", " "))
        if ends:
            return


def _with_hash(digest: str, text: str, line: str) -> set[str]:
    pairs = list(_candidates(text, whole=True))
    exact = {each for pair in pairs if digest in map(short_hash, pair) for each in pair}
    if exact or len(line) > _TRIED_LENGTH:
        return exact
    size = len(line)
    parts = (line[a:b] for a in range(size) for b in range(a + LENGTH_MIN, size + 1))
    return {part for part in parts if short_hash(part) == digest}


def _candidates(text: str, *, whole: bool) -> Iterator[tuple[str, ...]]:
    """What may be a value, as it is written and as the program has it. `whole` also tries each
    word between blanks and brackets, which only a hash can tell from other words."""
    for found in _QUOTED.finditer(text):
        written = next((each for each in found.groups() if each is not None), "")
        yield (written, _ESCAPE.sub(_unescaped, written)) if "\\" in written else (written,)
    for found in _IN_ADDRESS.finditer(text):
        yield (found[1], unquote(found[1])) if "%" in found[1] else (found[1],)
    for line in text.split("\n"):
        found = _SET.search(line)
        if found is not None:
            yield (found[1],)
    for found in _TOKEN.finditer(text) if whole else ():
        word = found[0]
        yield (word,)
        for sign in "=:@":
            yield from ((part,) for part in (word.partition(sign)[2], word.rpartition(sign)[0]))


def _unescaped(found: re.Match[str]) -> str:
    if found[1] or found[2]:
        return chr(int(found[1] or found[2], 16))
    return _ESCAPED.get(found[3], found[3])


class KnownSecrets:
    """The values of one run, in memory only. Immutable: `with_values` makes a larger one."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = frozenset(each for each in values if _is_worth_it(each))
        self._marks: dict[str, str] = {}
        for value in sorted(self.values, key=lambda each: (-len(each), each)):
            for form in _forms(value):
                self._marks.setdefault(form, f"{MARK}{short_hash(value)}]")
        self._ends: re.Pattern[str] | None = None
        if self._marks:
            ends = {part for f in self._marks for part in (f[:LENGTH_MIN], f[-LENGTH_MIN:])}
            self._ends = re.compile(f"(?=({_either(sorted(ends))}))")

    def __bool__(self) -> bool:
        return bool(self.values)

    def with_values(self, more: Iterable[str]) -> "KnownSecrets":
        """These and `more`; this very object where nothing is new."""
        every = self.values.union(each for each in more if _is_worth_it(each))
        return self if every == self.values else KnownSecrets(every)

    def text(self, text: str) -> str:
        """`text` with a mark in the place of each value, also of one that was cut."""
        return _Replacing(self._in(text), text).text(text, "")

    def cover(self, value: T) -> T:
        """The same of every text in a tree of structs, tuples, lists and dictionaries."""
        try:
            haystack = msgspec.msgpack.encode(value).decode("utf-8", "replace")
        except (TypeError, ValueError, RecursionError):
            haystack = None  # A name that is not UTF-8: every value is looked for.
        replacing = _Replacing(self._in(haystack), haystack)
        return cast(T, replacing.tree(value, "")) if replacing else value

    def _in(self, haystack: str | None) -> dict[str, str]:
        """The forms that may be in a text, whole or cut: few of many are, and each one costs."""
        if haystack is None or self._ends is None:
            return self._marks
        ends = {found[1] for found in self._ends.finditer(haystack)}
        return {
            form: mark
            for form, mark in self._marks.items()
            if form[:LENGTH_MIN] in ends or form[-LENGTH_MIN:] in ends
        }

    def held_by(self, content: bytes) -> int:
        """How many of the values stand in these bytes."""
        return sum(value.encode("utf-8", "surrogateescape") in content for value in self.values)


class _Replacing:
    """One pass over a text or a tree, with those values only that are in it."""

    def __init__(self, marks: dict[str, str], haystack: str | None) -> None:
        here = sorted(marks, key=lambda form: (-len(form), form))
        self._marks = {form: marks[form] for form in here}
        strong = [re.escape(form) for form in here if not _WORD.fullmatch(form)]
        weak = [
            rf"(?<![A-Za-z0-9_]){re.escape(form)}(?![A-Za-z0-9_])"
            for form in here
            if _WORD.fullmatch(form)
        ]
        own = re.escape(MARK) + "[0-9a-f]{8}]"
        self._shaped = haystack is None or SHAPES.search(haystack) is not None
        self._everywhere = re.compile("|".join((own, *strong)))
        self._in_prose = re.compile("|".join((own, *strong, *weak)))

    def __bool__(self) -> bool:
        return bool(self._marks) or self._shaped

    def text(self, text: str, field: str) -> str:
        if field in _OWN_PLACES:
            return text
        pattern = self._everywhere if field in _STRUCTURE else self._in_prose
        whole = pattern.sub(lambda found: self._marks.get(found[0], found[0]), text)
        if self._shaped:
            whole = SHAPES.sub(_marked, whole)
        return self._without_cut(whole) if _CUT.search(whole) else whole

    def tree(self, value: Any, field: str) -> Any:
        if isinstance(value, str):
            return self.text(value, field)
        if isinstance(value, bytes):
            plain = value.decode("utf-8", "surrogateescape")
            return self.text(plain, field).encode("utf-8", "surrogateescape")
        if isinstance(value, msgspec.Struct):
            return self._struct(value)
        if isinstance(value, dict):
            named = cast("dict[Any, Any]", value)
            return {
                self.text(key, "t") if isinstance(key, str) else key: self.tree(
                    each, key if isinstance(key, str) else field
                )
                for key, each in named.items()
            }
        if isinstance(value, tuple | list):
            made = [self.tree(each, field) for each in cast("Sequence[Any]", value)]
            return tuple(made) if isinstance(value, tuple) else made
        return value

    def _struct(self, value: msgspec.Struct) -> msgspec.Struct:
        changed: dict[str, Any] = {}
        for name in value.__struct_fields__:
            held = getattr(value, name)
            made = self.tree(held, name)
            if made is not held and made != held:
                changed[name] = made
        return msgspec.structs.replace(value, **changed) if changed else value

    def _without_cut(self, text: str) -> str:
        """A value of which only the beginning or the end is left beside a mark of a cut."""
        for form, mark in self._marks.items():
            at = 0
            while (cut := _CUT.search(text, at)) is not None:
                begin, end = cut.span()
                start = text.rfind(form[:LENGTH_MIN], max(0, begin - len(form)), begin)
                if start >= 0 and form.startswith(text[start:begin]):
                    text = text[:start] + mark + text[begin:]
                    end += len(mark) - (begin - start)
                stop = text.find(form[-LENGTH_MIN:], end, end + len(form))
                if stop >= 0 and form.endswith(text[end : stop + LENGTH_MIN]):
                    text = text[:end] + mark + text[stop + LENGTH_MIN :]
                at = end
        return text


def _either(words: Sequence[str]) -> str:
    """A pattern for any of these words of one length, sorted; with many it reads each character
    of a text once, and not once for every word."""
    if len(words) == 1:
        return re.escape(words[0])
    branches: list[str] = []
    for first, group in itertools.groupby(words, key=lambda word: word[:1]):
        branches.append(re.escape(first) + _either([word[1:] for word in group]))
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _marked(found: re.Match[str]) -> str:
    return found[0] if MARK in found[0] else f"{MARK}{short_hash(found[0])}]"


def _is_worth_it(value: str) -> bool:
    plain = value.strip()
    name = len(plain) <= _NAME_MAX and _NAMES_ONE.fullmatch(plain)
    return len(plain) >= LENGTH_MIN and len(set(plain)) > 1 and not name


def _forms(value: str) -> list[str]:
    """A value as it is, and as JSON, XML, Python and addresses write it."""
    made = (
        value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1], html.escape(value), html.escape(value, quote=False),
        html.escape(value, quote=False).replace('"', "&quot;"), quote(value, safe=""),
        quote(value), unquote(value), *value.split("\n"),
    )  # fmt: skip
    return [each for each in dict.fromkeys(made) if _is_worth_it(each)]
