"""What the parameters of a method say, read and checked. No I/O."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from visionflow.domain.errors import UnknownTool, UsageError

KEY_META = "visionflow/idempotencyKey"
TOKEN_META = "visionflow/token"
CLIENT_META = "visionflow/client"
LINE_META = "visionflow/lineBytesMax"
NAME_CHARS_MAX = 200
WORD_CHARS_MAX = 200


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool, as it was asked for."""

    tool: str
    arguments: Mapping[str, object]
    key: str | None
    token: str | None
    progress: str | int | None
    """What the client calls the progress that it wants to hear of."""


class Introduced(msgspec.Struct, frozen=True):
    """What a client said of itself with `initialize`."""

    version: object
    program: str | None
    client: str | None
    """Connections with the same word are one client."""
    line_bytes_max: int | None
    """The longest line that it reads, when it reads longer ones than the guide's client."""


def mapping_of(params: object) -> dict[str, object]:
    """Parameters as a mapping.

    Raises:
        UsageError: they are a list.
    """
    if isinstance(params, dict):
        return cast("dict[str, object]", params)
    raise UsageError("params is a list.", hint="Give parameters by their names, in an object.")


def asked(params: object) -> Asked:
    """The parameters of tools/call.

    Raises:
        UsageError: one is missing or of the wrong kind.
        UnknownTool: no tool has a name of that length.
    """
    given = mapping_of(params)
    tool, arguments = given.get("name"), given.get("arguments")
    if not isinstance(tool, str):
        raise UsageError("name is missing, or no text.", hint="It is the tool's name.")
    if len(tool) > NAME_CHARS_MAX:
        raise UnknownTool(f"There is no tool {tool[:60]!r}...", hint="tools/list has them all.")
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, dict):
        raise UsageError("arguments is no object.", hint="Give them by their names.")
    found = cast("dict[str, object]", arguments)
    meta = _meta(given)
    if not meta:
        return Asked(tool, found, None, None, None)
    progress = meta.get("progressToken")
    if isinstance(progress, bool) or not isinstance(progress, (str, int, type(None))):
        raise UsageError("_meta.progressToken is neither a text nor a whole number.")
    return Asked(tool, found, _text(meta, KEY_META), _text(meta, TOKEN_META), progress)


def token_of(params: object) -> str | None:
    """The token in the `_meta` of any request."""
    return _text(_meta(mapping_of(params)), TOKEN_META)


def introduced(params: object) -> Introduced:
    """The parameters of initialize, of which every one may be missing."""
    given = mapping_of(params)
    info: Any = given.get("clientInfo")
    program = cast("dict[str, object]", info).get("name") if isinstance(info, dict) else None
    meta = _meta(given)
    longest = meta.get(LINE_META)
    client = _text(meta, CLIENT_META)
    return Introduced(
        given.get("protocolVersion"),
        program[:WORD_CHARS_MAX] if isinstance(program, str) else None,
        client[:WORD_CHARS_MAX] if client else None,
        longest if type(longest) is int and longest > 0 else None,
    )


def _meta(params: Mapping[str, object]) -> dict[str, object]:
    meta = params.get("_meta")
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise UsageError("_meta is no object.")
    return cast("dict[str, object]", meta)


def _text(meta: Mapping[str, object], name: str) -> str | None:
    value = meta.get(name)
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"_meta[{name!r}] is no text.")
