"""What a value may look like on the wire, and how it is read: durations, sizes, words, objects.

Parsed once, at the edge, into typed values. Texts of a task are never touched.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from visionflow.domain.sizes import cpu_millis, memory_bytes
from visionflow.domain.tasks import Priority

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?")
_UNITS_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
DURATION_MS_MAX = 10 * 365 * 86_400_000
Schema = dict[str, Any]


class Form(msgspec.Struct, frozen=True):
    """One way to write a value. `read` raises `ValueError` with what is allowed."""

    name: str
    schema: Schema
    read: Callable[[object], object]


def _duration(unit: str) -> Callable[[object], object]:
    def read(value: object) -> int:
        text = str(value).strip() if isinstance(value, (str, int, float)) else ""
        found = None if isinstance(value, bool) else _DURATION.fullmatch(text)
        if found is None:
            raise ValueError('a duration such as "5000ms", "5s", "2m", "1h", or a number')
        ms = float(found[1]) * _UNITS_MS[found[2] or unit]
        if not 0 <= ms <= DURATION_MS_MAX:
            raise ValueError("a duration of at most ten years")
        return round(ms)

    return read


def number_in(text: str) -> int | None:
    """A whole number of at most 18 digits, as a cursor has it; `None` when the text is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word for word in (each.strip() for each in value.split(",")) if word)
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        if all(isinstance(each, str) for each in items):
            return tuple(cast("list[str]", items))
    raise ValueError('a list of words, or one text "a,b"')


def fault_in(text: str, error: msgspec.DecodeError) -> str:
    """Where a text stops being JSON, and what is wrong there."""
    if "truncated" in str(error):
        return f"it ends after {len(text)} characters and is not whole"
    return str(error)


def _stages(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return _words(value)
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            why = fault_in(value, error)
            raise ValueError(f"a list of words and objects, also as JSON text: {why}") from error
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        if all(isinstance(each, (str, Mapping)) for each in items):
            return tuple(items)
    raise ValueError('a list of words and objects, or one text "a,b"')


def _size(value: object) -> int:
    found = memory_bytes(value) if isinstance(value, (str, int, float)) else None
    if found is None:
        raise ValueError(
            "a size above 0: bytes, or a number with Ki, Mi, Gi (1024) or k, M, G (1000), such as "
            '"512Mi"'
        )
    return found


def _cpu(value: object) -> int:
    found = cpu_millis(value) if isinstance(value, (str, int, float)) else None
    if found is None:
        raise ValueError(
            'an amount above 0: processors, such as "1.5", or thousandths of one, such as "1500m"'
        )
    return found


def _priority(value: object) -> int:
    if isinstance(value, str) and value.upper() in Priority.__members__:
        return int(Priority[value.upper()])
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}(\.0+)?", value):
        number = float(value)
    most, words = max(Priority), ", ".join(word.name.lower() for word in Priority)
    if number is None or number not in range(most + 1):
        raise ValueError(f"{words}, or an integer from 0 to {most} (a lower one runs first)")
    return int(number)


def _object(value: object) -> dict[str, object]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise ValueError(f"an object, or one as JSON text: {fault_in(value, error)}") from error
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise ValueError("an object")


_TEXT_OR_NUMBER: Schema = {"type": ["string", "number"]}
FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("seconds", _TEXT_OR_NUMBER, _duration("s")),
        Form("milliseconds", _TEXT_OR_NUMBER, _duration("ms")),
        Form("words", {"type": ["array", "string"], "items": {"type": "string"}}, _words),
        Form(
            "stages",
            {"type": ["array", "string"], "items": {"type": ["string", "object"]}},
            _stages,
        ),
        Form("size", _TEXT_OR_NUMBER, _size),
        Form("cpu", _TEXT_OR_NUMBER, _cpu),
        Form("priority", {"type": ["string", "integer"]}, _priority),
        Form("object", {"type": "object"}, _object),
    )
}


def form(name: str, description: str) -> msgspec.Meta:
    """To annotate a field with: how its value is written, and what it means."""
    return msgspec.Meta(description=description, extra={"form": FORMS[name].name})


def about(description: str) -> msgspec.Meta:
    """To annotate a plain field with."""
    return msgspec.Meta(description=description)
