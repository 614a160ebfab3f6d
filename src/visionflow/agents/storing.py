"""Values as results and steps carry them: plain, and with no name that an encoder refuses."""

from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.findings import portable_path

T = TypeVar("T")


def storable(value: object) -> Any:
    """A Struct as plain values that any encoder takes: names that are not UTF-8 are escaped."""
    return _escaped(msgspec.to_builtins(value))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return portable_path(value)
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        found = cast("dict[Any, Any]", value)
        return {_escaped(key): _escaped(each) for key, each in found.items()}
    return value


def restored(value: Any, kind: type[T]) -> T:
    """A Struct from what `storable` made of it."""
    return msgspec.convert(value, kind)
