"""Roles: what `.claude/agents/*.md` of a workspace and of a home say, for Claude Code to be.

Of such a file only its name, its description, its prompt, its tools and its model are taken: a
stranger's file cannot make anything run that the profile does not.
"""

import os
import re
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.agents.tools.text import one_line, read_plain
from visionflow.domain.errors import ConfigError

FOLDER = Path(".claude", "agents")
FILES_MAX = 200
BYTES_MAX = 100_000
"""Of a file: the whole of it goes into one word of a command line, which Linux cuts at 128 KiB."""
_FENCE = "---"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAIN = re.compile(r"^([A-Za-z_-]+):[ \t]+([^'\"|>\s\[{!&*].*)$")


class Role(msgspec.Struct, frozen=True):
    """A role that Claude Code can be run in."""

    name: str
    file: str
    description: str = ""
    prompt: str = ""
    tools: tuple[str, ...] | None = None
    """`None`: all that there are."""
    model: str | None = None
    """`None`: whichever is the default."""
    fault: str | None = None
    """Why the file cannot be used: file, line, what is wrong. Told once the role is named."""

    def check(self) -> "Role":
        """Itself.

        Raises:
            ConfigError: its file has a fault.
        """
        if self.fault is not None:
            raise ConfigError(self.fault)
        return self


def roles_in(workspace: Path, home: Path | None) -> dict[str, Role]:
    """The roles by name; one of the workspace stands before the home's of the same name."""
    found: dict[str, Role] = {}
    for folder, own in ((workspace / FOLDER, False), *(((home / FOLDER, True),) if home else ())):
        # A workspace is a stranger's: a link in it may lead anywhere.
        if not own and (folder.is_symlink() or folder.parent.is_symlink()):
            continue
        for path in _files(folder):
            role = _read(path, own)
            found.setdefault(role.name, role)
    return found


def _files(folder: Path) -> list[Path]:
    paths = (
        Path(where, name)
        for where, folders, names in os.walk(folder)
        for name in (folders.sort(), sorted(names))[1]
        if name.endswith(".md")
    )
    return [path for path, _ in zip(paths, range(FILES_MAX), strict=False)]


def _read(path: Path, own: bool) -> Role:
    content = read_plain(path.resolve() if own else path, BYTES_MAX + 1)
    if content is None:
        return Role(path.stem, str(path), fault=f"{path}: This is no plain file.")
    if len(content) > BYTES_MAX:
        return Role(path.stem, str(path), fault=f"{path}: This is larger than {BYTES_MAX} bytes.")
    try:
        return role_of(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Role(path.stem, str(path), fault=f"{path}:{line}: This is not UTF-8.")
    except ConfigError as error:
        return Role(path.stem, str(path), fault=str(error))


def role_of(text: str, file: str) -> Role:
    """The role that a file holds: front matter between lines of `---`, then its prompt.

    Raises:
        ConfigError: it is none; the message names file and line.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        raise ConfigError(f"{file}:1: There is no front matter: the first line of a role is `---`.")
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise ConfigError(f"{file}:{len(lines)}: The front matter has no end: a line of `---`.")
    values, at = _front_matter(lines[1:end], file)
    name = values.get("name", Path(file).stem)
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{file}:{at.get('name', 1)}: name is {name!r}; a role's name is made of letters, "
            "digits, dots, dashes and underscores."
        )
    prompt = "\n".join(lines[end + 1 :]).strip()
    if not prompt:
        raise ConfigError(f"{file}:{end + 1}: There is no prompt below the front matter.")
    return Role(
        name=name,
        file=file,
        description=one_line(_text(values, at, "description", file) or name),
        prompt=prompt,
        tools=_tools(values, at, file),
        model=_model(_text(values, at, "model", file)),
    )


def _front_matter(lines: list[str], file: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Its values by key, and the line (from 1) of each key."""
    import yaml

    try:
        node, values = _parsed(lines)
    except (yaml.YAMLError, ValueError) as first:
        # Descriptions with a colon are common in such files, and Claude Code takes them as text.
        try:
            node, values = _parsed([_quoted(line) for line in lines])
        except (yaml.YAMLError, ValueError):
            mark = getattr(first, "problem_mark", None)
            line = 2 if mark is None else mark.line + 2
            problem = getattr(first, "problem", None) or first
            raise ConfigError(
                f"{file}:{line}: This is not YAML: {one_line(str(problem))}.",
                hint=None if mark is None else "Put the value into quotes.",
            ) from first
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}:2: The front matter is no list of keys and values.")
    pairs = cast("list[tuple[Any, Any]]", node.value)
    at = {str(key.value): int(key.start_mark.line) + 2 for key, _ in pairs}
    return cast("dict[str, Any]", values), at


def _parsed(lines: list[str]) -> tuple[Any, Any]:
    import yaml

    loader: Any = yaml.SafeLoader("\n".join(lines) + "\n")
    try:
        node = loader.get_single_node()
        return node, None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    finally:
        loader.dispose()


def _quoted(line: str) -> str:
    match = _PLAIN.match(line)
    if match is None:
        return line
    text = match[2].replace("\\", "\\\\").replace('"', '\\"')
    return f'{match[1]}: "{text}"'


def _text(values: dict[str, Any], at: dict[str, int], key: str, file: str) -> str | None:
    value = values.get(key)
    if value is None or isinstance(value, str):
        return value
    raise ConfigError(f"{file}:{at[key]}: {key} is {value!r}; it has to be text.")


def _tools(values: dict[str, Any], at: dict[str, int], file: str) -> tuple[str, ...] | None:
    value = values.get("tools")
    if value is None:
        return None
    if isinstance(value, str):
        # A comma within brackets belongs to the tool's own rule: Bash(git add, git commit).
        return tuple(word for each in re.split(r",(?![^(]*\))", value) if (word := each.strip()))
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in items):
        return tuple(items)
    raise ConfigError(
        f"{file}:{at['tools']}: tools is {value!r}; it has to be names, as a list or with commas "
        "between them."
    )


def _model(value: str | None) -> str | None:
    return None if value in (None, "", "inherit") else value
