"""What the adapters of our own confined programs share: reading their answer."""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.tools.text import one_line

T = TypeVar("T")


def answers(content: object, kind: type[T]) -> tuple[dict[str, T], tuple[tuple[str, str], ...]]:
    """A program's answer, a map of files: what it found in each, and the files it did not read.

    Raises:
        ValueError: it is no such map, or a file's part of it is not of `kind`.
    """
    if not isinstance(content, dict):
        raise ValueError("the answer is no map of files")
    found: dict[str, T] = {}
    not_read: list[tuple[str, str]] = []
    for name, told in sorted(cast("dict[str, Any]", content).items()):
        path = os.path.normpath(name).replace(os.sep, "/")
        if isinstance(told, str):
            not_read.append((path, one_line(told, 160)))
        else:
            found[path] = msgspec.convert(told, kind, strict=False)
    return found, tuple(not_read)


def version_of(distribution: str) -> str | None:
    """Its version; `None` where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
