"""What the last words of something that failed say of its cause. Pure: text in, a finding out.

Only what the words themselves say is told: that they are a traceback's last line, that they name a
key of the configuration or the value of one, that a module could not be imported.
"""

import re
from collections.abc import Mapping

import msgspec

LINE_CHARS_MAX = 500
_ERROR = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Fault))\b:? ?")
_PLACE = re.compile(r" \(at [^()]*\)$")
_QUOTED = re.compile(r"'([^']{1,100})'|\"([^\"]{1,100})\"|`([^`]{1,100})`")
_IMPORTS = ("ImportError", "ModuleNotFoundError")
_ABOUT_VALUES = ("KeyError", "TypeError", "ValueError", "ValidationError", "ConfigError", "")
"""Kinds of errors whose words may name what of a configuration is wrong; a text without a kind is
a message that was written for people."""


class Diagnosis(msgspec.Struct, frozen=True, gc=False):
    """What was found."""

    line: str
    """The words that say it, on one line."""
    told: str = ""
    """What of its configuration is at fault; empty: nothing that these words name."""
    key: str | None = None
    """The key of the configuration that is at fault, where it can be taken out."""


def diagnose(words: str, config: Mapping[str, object]) -> Diagnosis | None:
    """What words of a failure say, given the configuration of what failed; `None`: nothing."""
    line = last_line(words)
    if line is None:
        return None
    found = _ERROR.match(line)
    kind = "" if found is None else found["kind"].rpartition(".")[2]
    message = _PLACE.sub("", line if found is None else line[found.end() :])
    if kind in _IMPORTS:
        return Diagnosis(line, "something that it needs cannot be imported")
    if kind not in _ABOUT_VALUES:
        return Diagnosis(line)
    named = _named(message)
    key = _key_of(message, named, config)
    if key is not None:
        return Diagnosis(line, f"its configuration is wrong at {key!r}", key)
    if kind == "KeyError" and len(named) == 1:
        return Diagnosis(line, f"{named[0]!r} is not in its configuration")
    if kind == "ConfigError":
        return Diagnosis(line, "its configuration is wrong")
    return Diagnosis(line)


def last_line(words: str) -> str | None:
    """The line that says what went wrong: the last one that begins like an exception, else the last
    one with anything on it."""
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    if not lines:
        return None
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors or lines)[-1].strip()[:LINE_CHARS_MAX]


def is_error(line: str) -> bool:
    """Whether a line begins like an exception."""
    return _ERROR.match(line) is not None


def _named(message: str) -> list[str]:
    """What stands in quotation marks, in order."""
    return [one or two or three for one, two, three in _QUOTED.findall(message)]


def _key_of(message: str, named: list[str], config: Mapping[str, object]) -> str | None:
    """The one key of a configuration that a message names, by itself or by its value."""
    quoted = [key for key in config if key in named]
    if len(quoted) == 1:
        return quoted[0]
    # A word such as `timeout` says little within a sentence; at its start it is the subject.
    written = [
        key
        for key in config
        if re.search(rf"(?<![\w.]){re.escape(key)}(?![\w])", message)
        and ("_" in key or message.startswith(key))
    ]
    if len(written) == 1 and not quoted:
        return written[0]
    valued = [key for key, value in config.items() if isinstance(value, str) and value in named]
    return valued[0] if len(valued) == 1 and not quoted and not written else None
