"""JSON-RPC 2.0 messages: read from bytes, strictly. No I/O, and no knowledge of methods.

Depth is bounded before anything is decoded. What JSON leaves open and no two readers agree on is
refused rather than guessed: a key twice in one object, half of a surrogate pair, a number that no
store can hold.
"""

import re
from typing import Any, cast

import msgspec

from visionflow.interfaces.tools.faults import INVALID, PARSE

BATCH_MAX = 64
ID_BYTES_MAX = 256
CONTAINERS_MAX = 100_000
"""Lists and objects in one message: decoding millions of them would hold up everybody else."""
_NULL = b"null"
# One that never ends goes to the end of the data: a pattern that failed there would be tried again
# from each quote on, which takes quadratic time.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(each for each in range(256) if each not in _BRACKETS)
_SQUARE = bytes.maketrans(b"{}", b"[]")
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_MISSING = object()


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request, or a notification."""

    id: bytes | None
    """As JSON, to be sent back as it came; `None`: a notification, which is never answered."""
    method: str
    params: object
    """A mapping or a list; an empty mapping when there were none."""


class Bad(msgspec.Struct, frozen=True, gc=False):
    """Something that is no request, and how it is answered."""

    id: bytes
    code: int
    message: str
    word: str
    """The stable word for it."""


Message = Request | Bad
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def value_of(data: bytes, depth_max: int) -> object:
    """Any JSON text, read as strictly; `Bad` when it cannot be."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > depth_max and (fault := _too_nested(data, depth_max)) is not None:
        return fault
    try:
        value = _decode(data)
    except RecursionError:
        return Bad(_NULL, INVALID, f"The message is nested deeper than {depth_max}.", "too_deep")
    except msgspec.ValidationError as error:
        return Bad(_NULL, INVALID, f"The message has a number out of range: {error}.", "invalid")
    except UnicodeDecodeError as error:
        return Bad(_NULL, PARSE, f"The message is not UTF-8: {error.reason}.", "parse")
    except msgspec.DecodeError as error:
        return Bad(_NULL, PARSE, f"The message is not JSON: {error}.", "parse")
    fault = _ambiguous(data, value)
    if fault is not None:
        return Bad(_NULL, INVALID, fault, "invalid")
    return value


def parse(data: bytes, depth_max: int) -> Message | list[Message]:
    """What one line or body says. A list when it was a batch, which is never empty."""
    value = value_of(data, depth_max)
    if isinstance(value, Bad):
        return value
    if not isinstance(value, list):
        return request_of(value)
    batch = cast("list[object]", value)
    if not batch:
        return Bad(_NULL, INVALID, "The batch is empty.", "invalid")
    if len(batch) > BATCH_MAX:
        message = f"The batch has {len(batch)} requests of at most {BATCH_MAX}."
        return Bad(_NULL, INVALID, message, "batch_too_long")
    return [request_of(each) for each in batch]


def request_of(value: object) -> Message:
    """One message of a batch, or the only one."""
    if not isinstance(value, dict):
        return Bad(_NULL, INVALID, "A request is a JSON object.", "invalid")
    given = cast("dict[str, Any]", value)
    identity = _id_of(given.get("id", _MISSING))
    if isinstance(identity, str):
        return Bad(_NULL, INVALID, identity, "invalid")
    answer_to = _NULL if identity is None else identity
    if given.get("jsonrpc") != "2.0":
        return Bad(answer_to, INVALID, 'jsonrpc is not "2.0".', "invalid")
    method = given.get("method")
    if not isinstance(method, str):
        return Bad(answer_to, INVALID, "method is missing, or no text.", "invalid")
    params = given.get("params")
    if params is None:
        params = {}
    elif not isinstance(params, (dict, list)):
        return Bad(answer_to, INVALID, "params is neither an object nor a list.", "invalid")
    return Request(identity, method, cast(object, params))


def _id_of(value: object) -> bytes | str | None:
    """The id as JSON, `None` without one, or a text that says what is wrong with it."""
    if value is _MISSING:
        return None
    if value is None:
        return _NULL
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return "id is a text, a whole number or null."
    identity = _encode(value)
    if len(identity) > ID_BYTES_MAX:
        return f"id is longer than {ID_BYTES_MAX} bytes."
    return identity


def _too_nested(data: bytes, depth_max: int) -> Bad | None:
    """What is wrong with the brackets outside of strings, if that is dangerous to decode.

    Each pass takes the innermost pairs away, so `depth_max` passes leave nothing of what is no
    deeper than that.
    """
    left = _STRING.sub(b"", data).translate(_SQUARE, _NO_BRACKETS)
    if left.count(b"[") > CONTAINERS_MAX:
        message = f"The message has more than {CONTAINERS_MAX} lists and objects."
        return Bad(_NULL, INVALID, message, "too_many_values")
    deep = Bad(_NULL, INVALID, f"The message is nested deeper than {depth_max}.", "too_deep")
    if b"[" * (depth_max + 1) in left:
        return deep
    for _ in range(depth_max):
        left = left.replace(b"[]", b"")
    # What does not match is for the decoder to explain.
    return deep if b"[]" in left else None


def _ambiguous(data: bytes, value: object) -> str | None:
    """What in it two readers could take for two different things."""
    colons = data.count(b":")
    if colons and colons != (keys := _keys(value)) and _STRING.sub(b"", data).count(b":") != keys:
        return "An object of the message has a key twice."
    if _LONG_NUMBER.search(data) is not None and not _in_range(value):
        return "The message has a number that does not fit in 64 bits."
    return None


def _keys(value: object) -> int:
    """How many keys all objects inside have together."""
    count = 0
    stack: list[object] = [value]
    while stack:
        each = stack.pop()
        if type(each) is dict:
            found = cast("dict[str, object]", each)
            count += len(found)
            stack.extend(found.values())
        elif type(each) is list:
            stack.extend(cast("list[object]", each))
    return count


def _in_range(value: object) -> bool:
    stack: list[object] = [value]
    while stack:
        each = stack.pop()
        if type(each) is int:
            if not _INT_MIN <= each <= _INT_MAX:
                return False
        elif type(each) is dict:
            stack.extend(cast("dict[str, object]", each).values())
        elif type(each) is list:
            stack.extend(cast("list[object]", each))
    return True
