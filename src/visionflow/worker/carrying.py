"""What agents' code says is looked at before it is sent: Structs do not look at what they are made
of, and a frame with one message that the orchestrator cannot read is lost with all the others, and
comes again with each new connection."""

import re
from typing import Any

import msgspec

from visionflow.domain.errors import UsageError

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {}


def must_carry(message: msgspec.Struct) -> None:
    """Return if the other side can read this.

    Raises:
        UsageError: it cannot; the message names the field.
    """
    kind = type(message)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        decoder.decode(_encoder.encode(message))
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{error.object[:50]!r} cannot be sent: UTF-8 cannot carry it.",
            hint="Give such a value as bytes.",
        ) from error
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        what, _, where = str(error).partition(" - at `$")
        place = _named(message, where.strip("`"))
        raise UsageError(f"{place}{what}.", hint="Nothing was sent.") from error


def _named(message: msgspec.Struct, where: str) -> str:
    """The field at a place, and what stands there. Of a message it is a number, after the tag."""
    numbered = re.fullmatch(r"\[(\d+)\](.*)", where, re.DOTALL)
    if numbered is None:
        return f"{where.lstrip('.')}: " if where else ""
    names, place = message.__struct_fields__, int(numbered[1]) - 1
    if not 0 <= place < len(names):
        return ""
    if numbered[2]:
        return f"{names[place]}{numbered[2]}: "
    return f"{names[place]} is {getattr(message, names[place])!r:.100}: "
