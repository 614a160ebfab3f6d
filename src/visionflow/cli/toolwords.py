"""From words of a command line to the arguments of a tool, and a tool's own help.

Everything is made from the registry: what a tool takes, what is positional, its example.
"""

import sys
from collections.abc import Sequence
from typing import Any, cast, get_args

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.wording import shown
from visionflow.interfaces.tools.arguments import KEY, Field, fields_of, parse
from visionflow.interfaces.tools.tool import AnyTool

OPTIONS = ("server", "token", "json", "help", "args")
"""What is ours on such a line, and no tool's."""
_ARGS = "Write an object, such as --args '{\"limit\": 5}'."


class Spoken(msgspec.Struct, frozen=True):
    """A line that was understood."""

    arguments: dict[str, Any]
    server: str | None = None
    token: str | None = None
    json: bool = False
    help: bool = False
    key: str | None = None


def understand(tool: AnyTool, words: Sequence[str]) -> Spoken:
    """Read the words after the tool's name.

    Raises:
        UsageError: one is unknown, missing or of the wrong kind.
    """
    fields = fields_of(tool.arguments)
    given: dict[str, object] = {}
    ours: dict[str, str] = {}
    positional = list(tool.positional)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, joined, value = word[2:].partition("=")
            _option(tool, fields, name, value if joined else None, rest, given, ours)
        elif word in ("-h", "-?"):
            ours["help"] = "true"
        elif positional:
            _put(given, positional.pop(0), word)
        else:
            raise UsageError(
                _not_expected(tool, word), hint=f"See `visionflow call {tool.name} --help`."
            )
    return _spoken(tool, given, ours)


def _not_expected(tool: AnyTool, word: str) -> str:
    plain = [name.upper() for name in tool.positional]
    if not plain:
        return f"{word!r} was not expected: what {tool.name} takes is written --NAME=VALUE."
    taken = "is" if len(plain) == 1 else "are"
    return (
        f"{word!r} was not expected: {', '.join(plain)} {taken} there already; a value of several "
        "words needs quotes, and all else is written --NAME=VALUE."
    )


def _option(
    tool: AnyTool,
    fields: dict[str, Field],
    name: str,
    value: str | None,
    rest: list[str],
    given: dict[str, object],
    ours: dict[str, str],
) -> None:
    camel = _camel(name)
    target = tool.arguments.ALIASES.get(camel, camel)
    field = fields.get(target)
    if field is None and (name in OPTIONS or camel == KEY):
        flag = name in ("json", "help")
        ours[name if name in OPTIONS else KEY] = _value(name, value, rest, flag=flag)
        return
    flag = field is not None and (field.hint is bool or bool in get_args(field.hint))
    _put(given, camel, _value(name, value, rest, flag=flag))


def _value(name: str, value: str | None, rest: list[str], *, flag: bool) -> str:
    if value is not None:
        return value
    if flag:
        return rest.pop(0) if rest and rest[0] in ("true", "false") else "true"
    if not rest:
        raise UsageError(f"--{name} needs a value.", hint=f"Write --{name}=VALUE.")
    return rest.pop(0)


def _put(given: dict[str, object], name: str, value: object) -> None:
    if name in given:
        raise UsageError(f"{name} is given twice.", hint="Leave one of them out.")
    given[name] = value


def _camel(name: str) -> str:
    """`max-agents` and `max_agents` are `maxAgents`."""
    first, *others = name.replace("_", "-").split("-")
    return first + "".join(each[:1].upper() + each[1:] for each in others)


def _spoken(tool: AnyTool, given: dict[str, object], ours: dict[str, str]) -> Spoken:
    wants_help = ours.get("help") == "true"
    written = frozenset[str]()
    if "args" in ours:
        whole = _object(ours["args"])
        written = frozenset(whole.keys() - given.keys())
        given = {**whole, **given}
    # In the object it stands beside the arguments, as the pages list it.
    told = given.pop(KEY, None) if KEY not in fields_of(tool.arguments) else None
    if told is not None and not isinstance(told, str):
        raise UsageError(f"{KEY} is {shown(told)}, not a text.")
    key = ours.get(KEY, told)
    if not wants_help:
        given = _typed(tool, given, written)
    return Spoken(
        arguments=dict(given),
        server=ours.get("server"),
        token=ours.get("token"),
        json=ours.get("json") == "true",
        help=wants_help,
        key=key,
    )


def _object(text: str) -> dict[str, object]:
    if text == "-":
        text = sys.stdin.read()
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.ValidationError as error:
        raise UsageError("--args is no JSON object.", hint=_ARGS) from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(f"--args is no JSON object: {error}.", hint=_ARGS) from error


def _typed(tool: AnyTool, given: dict[str, object], written: frozenset[str]) -> dict[str, object]:
    """Values as the server takes them: texts of forms as they are, others of their own kind.
    `written`: those that are JSON already.

    Checked here too, so that a slip is told without a server.
    """
    read = parse(tool.arguments, given, texts=True, written=written)
    known, attributes = (
        fields_of(tool.arguments),
        {each.encode_name: each.name for each in msgspec.structs.fields(tool.arguments)},
    )
    found: dict[str, object] = {}
    for name, value in given.items():
        target = tool.arguments.ALIASES.get(name, name)
        plain = known[target].form is not None
        found[name] = value if plain else msgspec.to_builtins(getattr(read, attributes[target]))
    return found


def help_of(tool: AnyTool, program: str) -> str:
    """What a tool is for, what it takes, and an example, as plain text."""
    fields = fields_of(tool.arguments)
    words = "".join(
        f" {name.upper()}" if fields[name].required else f" [{name.upper()}]"
        for name in tool.positional
    )
    lines = [f"Usage: {program}{words} [--NAME=VALUE ...]", "", tool.summary, ""]
    if fields:
        width = max(len(name) for name in fields) + 2
        lines.append("Arguments:")
        for name, field in fields.items():
            needed = " (required)" if field.required else ""
            lines.append(f"  --{name:<{width}}{field.description}{needed}")
    if not tool.reads:
        lines.append(f"  --{KEY:<{max(len(KEY), 12)}}  the same call again is done once")
    lines += [
        "",
        "Options:",
        "  --args JSON      arguments as one JSON object; - reads it from standard input",
        "  --server H:P     the server to ask; else the one of this user, else port 9500 here",
        "  --token TOKEN    where one is needed (or VISIONFLOW_TOKEN)",
        "  --json           print JSON also on a terminal",
        "",
        f"For: {', '.join(sorted(tool.roles))}.",
        "Example:",
        f"  {example_of(tool, program)}",
    ]
    return "\n".join(lines)


def example_of(tool: AnyTool, program: str) -> str:
    """The tool's example as a line of a shell."""
    import shlex

    given = dict(tool.example)
    words = [_text(given.pop(name)) for name in tool.positional if name in given]
    words += [f"--{name}={_text(value)}" for name, value in given.items()]
    return f"{program} {shlex.join(words)}"


def _text(value: object) -> str:
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(each, str) for each in items):
            return ",".join(cast("list[str]", items))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
