"""What may stand at a place of a settings file: each reader gives the value, or names the line."""

import os
import re
from pathlib import Path

from visionflow.domain.sizes import CPU_FORMS, MEMORY_FORMS, cpu_millis, memory_bytes
from visionflow.settings.lines import Located

DURATION_FORMS = 'Write seconds, or a number with ms, s, m, h or d: "90s", "12h".'
CLASS_FORMS = (
    'Write "package.module.Class", "package.module:Class" or "path/to/file.py:Class" '
    "(relative to this file)."
)
FUNCTION_FORMS = 'Write "package.module:function" or "path/to/file.py:function".'
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_UNITS_MS = {None: 1_000, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KINDS: dict[type, str] = {
    dict: "a map",
    list: "a list",
    str: "text",
    bool: "true or false",
    type(None): "nothing",
}


def kind_of(value: object) -> str:
    """A value in words."""
    return _KINDS.get(value.__class__, f"{value!r}")


def expect(item: Located, kind: type, what: str, form: str, line: int | None = None) -> None:
    """Refuse what is not of this kind.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(item.value, kind):
        told = f"{what} is {kind_of(item.value)}, and must be {kind_of(kind())}."
        raise item.fault(told, line=line, hint=f"Write {form}.")


def known_keys(item: Located, allowed: tuple[str, ...], what: str) -> None:
    """Refuse a map with another key than these.

    Raises:
        ConfigError: it is no map, or has one.
    """
    expect(item, dict, what, f"keys {', '.join(allowed)}")
    for key in item.items:
        if key not in allowed:
            raise item.unknown_key(key, allowed, what)


def size(item: Located, what: str = "memory") -> int:
    """Bytes.

    Raises:
        ConfigError: it is no size above zero.
    """
    found = memory_bytes(item.value)
    if found is None:
        raise item.fault(f"{item.value!r} is no amount of {what}.", hint=MEMORY_FORMS)
    return found


def processors(item: Located) -> int:
    """Thousandths of a processor.

    Raises:
        ConfigError: it is no amount above zero.
    """
    found = cpu_millis(item.value)
    if found is None:
        raise item.fault(f"{item.value!r} is no amount of cpu.", hint=CPU_FORMS)
    return found


def duration_ms(item: Located, what: str, least_ms: int = 1) -> int:
    """Milliseconds.

    Raises:
        ConfigError: it is no time of at least so many.
    """
    value = item.value
    found = None if isinstance(value, bool) else _DURATION.fullmatch(str(value))
    ms = -1 if found is None else round(float(found[1]) * _UNITS_MS[found[2]])
    if ms < least_ms:
        raise item.fault(f"{what} is {kind_of(value)}, and must be a time.", hint=DURATION_FORMS)
    return ms


def basis_points(item: Located, what: str, least: float, most: float) -> int:
    """A number between these, in ten-thousandths.

    Raises:
        ConfigError: it is not.
    """
    value = item.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        told = f"{what} is {kind_of(value)}, and must be a number from {least:g} to {most:g}."
        raise item.fault(told)
    return round(value * 10_000)


def whole(item: Located, what: str, least: int) -> int:
    """A whole number.

    Raises:
        ConfigError: it is none, or less than `least`.
    """
    value = item.value
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        told = f"{what} is {kind_of(value)}, and must be a whole number of at least {least}."
        raise item.fault(told)
    return value


def import_path(item: Located, folder: Path, what: str, forms: str, *, dotted: bool) -> str:
    """`module:name` or `/absolute/file.py:name`, of the forms that may be written; with `dotted`
    `module.name` is one.

    Raises:
        ConfigError: it is none of them, or there is no such file.
    """
    written = item.value
    if not isinstance(written, str) or not written.strip():
        raise item.fault(f"{what} is {kind_of(written)}, and must be text.", hint=forms)
    written = written.strip()
    place, colon, name = written.rpartition(":")
    if not colon and dotted:
        place, _, name = written.rpartition(".")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise item.fault(f"{written!r} is not the path of a {what}.", hint=forms)
    if place.endswith(".py") or os.sep in place:
        file = os.path.normpath(folder / os.path.expanduser(place))
        if not os.path.isfile(file):
            raise item.fault(f"There is no Python file {file}, which {written!r} names.")
        return f"{file}:{name}"
    if not all(part.isidentifier() for part in place.split(".")):
        raise item.fault(f"{place!r} is not the name of a module.", hint=forms)
    return f"{place}:{name}"
