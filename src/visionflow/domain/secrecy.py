"""What is a secret by its name or its form, and texts without it. For lines and reasons, which
people read: values of tasks are data and are never touched.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

LENGTH_MIN = 6
"""Shorter values are not hidden: they stand in too many words that have nothing to do with them."""
ITEMS_MAX = 10_000
"""Of one value, how many parts are looked at."""
MASK = "***"
_ENDING = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|credentials?|authorization|cookie|"
    r"(?:api|access|private|secret|signing|encryption|auth)[_.-]?key"
)
_NAME = re.compile(
    rf"(?i)(?:.*[^a-z]|.*[a-z](?=[A-Z])|)(?:{_ENDING})|[a-z]*(?:{_ENDING})|.*[a-z0-9][_.-]pass"
)
_NAMED = re.compile(
    rf"""(?ix)
    (?P<name> (?:{_ENDING}|(?<=[a-z0-9][_.-])pass)
        (?P<quote>\\{{0,3}}["']?) \s{{0,4}} (?P<sign>[:=]) \s{{0,4}} )
    (?P<value>
        \\{{1,3}}["'][^"'\\]{{1,4000}}
        | "(?:[^"\\]|\\.){{1,4000}}"
        | '(?:[^'\\]|\\.){{1,4000}}'
        | [^\s,;)}}\]"']{{1,4000}}
    )
    """
)
_FLAG = re.compile(
    rf"""(?ix)
    (?P<flag> (?<![\w-]) --? [\w-]{{0,40}}? (?:{_ENDING}|-pass) [ \t]{{1,4}} \\{{0,3}}["']? )
    (?P<value> (?!-) [^\s"']{{6,4000}} )
    """
)
_PLACEHOLDER = re.compile(r"[A-Z_]+|[$%{<\[].*")
"""What a usage line has in the place of a value."""
_NOTHING = re.compile(r"(?i)none|null|true|false|\d{1,6}|\*+|<[^<>]*>")
PROSE_LENGTH_MIN = 8
"""After a colon without quotes, as in `token: abcdefgh`, a shorter word is prose."""
SHAPES = re.compile(
    r"""
    \b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{8,} | \b[sr]k_(?:live|test)_[A-Za-z0-9]{10,}
    | \bAIza[0-9A-Za-z_-]{30,} | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[A-Za-z0-9_-]{30,}
    | \bsk-[A-Za-z0-9_-]{20,} | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
    | (?<=://)[^\s/:@'"<>]{1,80}:[^\s/@'"<>]{1,200}(?=@)
    | -----BEGIN[ A-Z]{0,30}PRIVATE\ KEY-----(?:[^<]{0,4000}?-----END[ A-Z]{0,30}-----|[^\n<]*)
    """,
    re.VERBOSE,
)
"""Well-known credentials by their form, which need nobody to find them; none holds a tag."""
_OURS = (
    (
        re.compile(r"(?i)\b((?:set-)?cookie\s{0,4}:\s{0,4})[^\s\"'=;]{1,200}=[^\n\"']{3,4000}"),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)([?&](?:sig|key|[a-z-]{0,20}signature)=)[^\s&#\"'<>]{6,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\b(vf_[A-Za-z0-9]+)_[A-Za-z0-9_-]{8,}"), rf"\1_{MASK}"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"), f"sk-{MASK}"),
)
"""What headers carry, and our own tokens, of which the part that names them stays."""


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret, as `apiKey`, `DB_PASSWORD` and `token` are."""
    return _NAME.fullmatch(name[-80:]) is not None


def secret_values(value: object) -> list[str]:
    """The texts in a tree of maps and lists that stand under a secret name."""
    return [text for text, named in _texts(value, False, [ITEMS_MAX]) if named]


def _texts(value: object, named: bool, left: list[int]) -> Iterator[tuple[str, bool]]:
    left[0] -= 1
    if left[0] < 0:
        return
    if isinstance(value, str):
        yield value, named
    elif isinstance(value, Mapping):
        for key, each in cast("Mapping[object, object]", value).items():
            yield from _texts(each, named or (isinstance(key, str) and is_secret_name(key)), left)
    elif isinstance(value, (list, tuple)):
        for each in cast("tuple[object, ...]", value):
            yield from _texts(each, named, left)


def without_secrets(value: Any, named: bool = False) -> Any:
    """A tree of maps and lists in which the texts under secret names are masked."""
    if isinstance(value, str):
        return MASK if named and value else value
    if isinstance(value, dict):
        return {
            key: without_secrets(each, named or (isinstance(key, str) and is_secret_name(key)))
            for key, each in cast("dict[object, object]", value).items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(each, named) for each in cast("tuple[object, ...]", value)]
    return value


def masked(text: str) -> str:
    """The text without what is a secret by its form, or by the name that stands before it."""
    for pattern, shown in _OURS:
        text = pattern.sub(shown, text)
    text = _FLAG.sub(_mask_flag, _NAMED.sub(_mask, text))
    return SHAPES.sub(MASK, text)


def _mask(found: "re.Match[str]") -> str:
    value = found["value"]
    bare = value.strip("\"'")
    plain = value == bare and not found["quote"] and found["sign"] == ":"
    if _NOTHING.fullmatch(bare) or (plain and len(bare) < PROSE_LENGTH_MIN):
        return found[0]
    if bare.lower() in ("bearer", "basic"):
        return found[0]  # What follows is masked as that.
    end = value[0] if value[0] in "\"'" else ""
    return f"{found['name']}{end}{MASK}{end}"


def _mask_flag(found: "re.Match[str]") -> str:
    value = found["value"]
    if _NOTHING.fullmatch(value) or _PLACEHOLDER.fullmatch(value):
        return found[0]
    return f"{found['flag']}{MASK}"


def forms_of(value: str) -> list[str]:
    """A value as it is, line by line, and as JSON and Python write it."""
    lines = [each for each in value.splitlines() if len(each.strip()) >= LENGTH_MIN]
    quoted = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    return [value, *lines, *quoted, repr(value)[1:-1]]
