"""YAML with line numbers: a file as plain values, and where in the file each of them stands.

Faults of the form are told here; what the values mean is for the caller.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.domain.errors import ConfigError

BYTES_MAX = 1_000_000


class Located(msgspec.Struct, frozen=True):
    """A value of a file, and the lines (from 1) of it and of what it holds."""

    file: str
    value: Any
    line: int
    keys: dict[str, int] = {}
    """Of a map: the line of each key."""
    items: dict[str, "Located"] = {}
    """Of a map: each value, located."""

    def at(self, path: tuple[str, ...]) -> "Located":
        """What stands under these keys, or the innermost that is there."""
        here = self
        for key in path:
            if key not in here.items:
                break
            here = here.items[key]
        return here

    def fault(
        self, message: str, *, line: int | None = None, hint: str | None = None
    ) -> ConfigError:
        """An error that names this place."""
        return ConfigError(f"{self.file}:{line or self.line}: {message}", hint=hint)

    def unknown_key(self, key: str, allowed: tuple[str, ...], what: str) -> ConfigError:
        """An error about a key that is not among the allowed ones."""
        near = get_close_matches(key, allowed, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        return self.fault(
            f"{key!r} is not a key of {what}.{meant}",
            line=self.keys.get(key),
            hint=f"Allowed: {', '.join(allowed)}.",
        )


def read_yaml(path: Path) -> Located:
    """The file's one document, located.

    Raises:
        ConfigError: it is not there, cannot be read, or is not YAML of maps with text keys.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ConfigError(f"{path} is larger than {BYTES_MAX} bytes.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str) -> Located:
    """The same for a text; `file` is what errors call it."""
    import yaml

    loader: Any = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Located(file, None, 1)
        return _Reader(loader, file).located(node, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise ConfigError(f"{file}:{line}: This is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}: This cannot be read as YAML: {error}.") from error
    finally:
        loader.dispose()


class _Reader:
    """Turns nodes into values, keeping their lines."""

    _DEPTH_MAX = 50

    def __init__(self, loader: Any, file: str) -> None:
        self._loader = loader
        self._file = file

    def located(self, node: Any, depth: int) -> Located:
        import yaml

        line = cast(int, node.start_mark.line) + 1
        if depth > self._DEPTH_MAX:
            raise ConfigError(f"{self._file}:{line}: This is nested too deeply.")
        if not isinstance(node, yaml.MappingNode):
            return Located(self._file, self._loader.construct_object(node, deep=True), line)
        self._loader.flatten_mapping(node)
        keys: dict[str, int] = {}
        items: dict[str, Located] = {}
        for key_node, value_node in cast("list[tuple[Any, Any]]", node.value):
            key = self._loader.construct_object(key_node, deep=True)
            at = cast(int, key_node.start_mark.line) + 1
            if not isinstance(key, str):
                raise ConfigError(f"{self._file}:{at}: The key {key!r} is not text; quote it.")
            if key in keys:
                raise ConfigError(
                    f"{self._file}:{at}: The key {key!r} stands twice, first in line {keys[key]}."
                )
            keys[key] = at
            items[key] = self.located(value_node, depth + 1)
        value = {key: item.value for key, item in items.items()}
        return Located(self._file, value, line, keys, items)
