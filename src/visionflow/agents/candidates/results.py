"""Reads values out of results of tasks: by what they are, never by how the log calls the task."""

from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec

T = TypeVar("T")


def values_in(results: Mapping[str, object], key: str, kind: type[T]) -> tuple[T, ...]:
    """Every value under this key, in the order of the tasks. Another form than ours is passed
    over: a role of the user's own may have answered."""
    found: list[T] = []
    for result in results.values():
        if isinstance(result, dict):
            value = cast("dict[str, object]", result).get(key)
            if value is not None:
                try:
                    found.append(msgspec.convert(value, kind))
                except msgspec.ValidationError:
                    continue
    return tuple(found)
