"""Payloads to values and back: MessagePack, inline when small, else by a blob that is durable
before anybody is told of it.

Whether the caller may block is for the caller: `load` and `store` read and write the disk.
"""

import dataclasses
from pathlib import PurePath
from typing import Any

import msgspec

from visionflow.domain.errors import NotPersistable
from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.domain.tasks import NOTHING, Payload
from visionflow.ports.blobs import Blobs


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"objects of type {type(value).__name__} are not supported")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_sorted_encoder = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic")


def encode(value: object, what: str) -> bytes:
    """The value as MessagePack; paths become text.

    Raises:
        NotPersistable: it holds something that cannot be stored; `what` names it in the message.
    """
    return _encoded(_encoder, value, what)


def encode_sorted(value: object, what: str) -> bytes:
    """The same bytes for equal values, whatever the order of their maps and sets.

    Raises:
        NotPersistable: as `encode`.
    """
    return _encoded(_sorted_encoder, value, what)


def _encoded(encoder: msgspec.msgpack.Encoder, value: object, what: str) -> bytes:
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(value).__name__
        if dataclasses.is_dataclass(value):
            kind += " (a dataclass)"
        raise NotPersistable(
            f"{what}, of type {kind}, cannot be stored: {error or 'it is nested too deeply'}.",
            hint="Use maps, lists, text, bytes, numbers, dates, dataclasses or Structs.",
        ) from error


def is_small(body: bytes) -> bool:
    """Whether it may travel inline."""
    return len(body) <= INLINE_BYTES_MAX


def store(body: bytes, blobs: Blobs) -> Payload:
    """The payload for encoded bytes. Blocks on the disk when they are large."""
    return Payload(inline=body) if is_small(body) else Payload(blob=blobs.put(body))


def load(payload: Payload, blobs: Blobs) -> Any:
    """The value of a payload; `None` for nothing. Blocks on the disk when it is a blob.

    Raises:
        BlobMissing: the blob is not there.
    """
    if payload.inline is not None:
        return msgspec.msgpack.decode(payload.inline)
    if payload.blob is not None:
        return msgspec.msgpack.decode(blobs.get(payload.blob))
    return None


def payload_of(value: object, what: str, blobs: Blobs) -> Payload:
    """Encode and store. Blocks on the disk when the value is large.

    Raises:
        NotPersistable: as `encode`.
    """
    return NOTHING if value is None else store(encode(value, what), blobs)
