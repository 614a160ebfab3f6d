"""Whether two patterns of files can mean the same file. Pure.

A pattern is a path from the top of the workspace in which `*` and `?` stay within a name, `**`
goes through folders, and `[...]` is some character. One with such signs and no slash (`*.md`)
counts at any depth. What ends with a slash, or has no dot in its last name, may be a folder and
counts for everything below it.
"""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"(?P<deep>\*\*+)|(?P<star>\*)|(?P<one>\?|\[.[^\]]*\])|\\?(?P<char>.)", re.S)
_DEEP_MAX = 4
"""So many `**/` of a pattern are read exactly; further ones as any characters at all."""


def overlap(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether some path could be meant by both. Where one of them says nothing: no."""
    return any(meet(one, other) for one in ours for other in theirs)


def meet(one: str, other: str) -> bool:
    """Whether some path could be meant by both patterns. Case makes no difference."""
    return any(_meet(first, second) for first in _forms(one) for second in _forms(other))


def _meet(firsts: tuple[str, ...], seconds: tuple[str, ...]) -> bool:
    """Whether two lists of tokens have a text in common: a walk through both at once."""
    waiting, seen = [(0, 0)], {(0, 0)}
    while waiting:
        i, j = waiting.pop()
        if i == len(firsts) and j == len(seconds):
            return True
        first = firsts[i] if i < len(firsts) else ""
        second = seconds[j] if j < len(seconds) else ""
        after = [(i + 1, j)] if first in ("*", "**") else []
        after += [(i, j + 1)] if second in ("*", "**") else []
        if first and second and _alike(first, second):
            after.append((i + (first not in ("*", "**")), j + (second not in ("*", "**"))))
        waiting += [each for each in after if each not in seen]
        seen.update(after)
    return False


def _alike(one: str, other: str) -> bool:
    """Whether one character can be meant by both tokens."""
    if "**" in (one, other):
        return True
    characters = [token[1:] for token in (one, other) if token.startswith("=")]
    return len(set(characters)) < 2 and ("/" not in characters or len(characters) == 2)


def _forms(pattern: str) -> list[tuple[str, ...]]:
    """All that the pattern may be, as tokens: `=c` a character, `?` any one within a name, `*` any
    number of those, `**` any characters at all."""
    text = pattern.strip().casefold()
    top, text = text.startswith("/"), re.sub(r"\A(?:\./|/)+|/+\Z", "", text)
    if text in ("", "."):
        return [("**",)]
    folder = pattern.rstrip().endswith("/") or "." not in text.rpartition("/")[2]
    if "/" not in text and not top and re.search(r"[*?\[]", text):
        text = f"**/{text}"
    forms = [text, f"{text}/**"] if folder else [text]
    for _ in range(_DEEP_MAX):
        # `a/**/b` is `a/b` too.
        forms += [form.replace("**/", "", 1) for form in forms if "**/" in form]
        forms = [form.replace("**/", "**\0", 1) for form in forms]
    return [_tokens(form.replace("**/", "**").replace("\0", "/")) for form in dict.fromkeys(forms)]


def _tokens(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        found.append({"deep": "**", "star": "*", "one": "?"}.get(kind or "") or f"={match['char']}")
    return tuple(found)
