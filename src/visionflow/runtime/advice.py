"""What a user's strategy answered, read: each value of its kind and within reason, or a fault."""

from typing import Any, cast

import msgspec

from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import NOTHING, Payload

KEYS = ("restart", "wait", "memory", "timeout", "config")
SECONDS_MAX = 365 * 86_400
MEMORY_BYTES_MAX = 1 << 50


def advice_in(answer: object) -> Advice:
    """The answer of a strategy; one that is not sound is a fault, and nothing of it holds."""
    if answer is None:
        return Advice()
    if not isinstance(answer, dict):
        return Advice(fault=f"it gave {type(answer).__name__}, and must give a dict")
    given = cast("dict[Any, Any]", answer)
    unknown = [str(key)[:50] for key in given if key not in KEYS]
    if unknown:
        return Advice(fault=f"it gave {unknown[0]!r}; it may give {', '.join(KEYS)}")
    try:
        return Advice(
            restart=_yes_or_no(given.get("restart")),
            wait_ms=_ms("wait", given.get("wait"), 0),
            memory_bytes=_whole("memory", given.get("memory")),
            timeout_ms=_ms("timeout", given.get("timeout"), 1),
            config=_config(given.get("config")),
        )
    except (ValueError, OverflowError, RecursionError) as error:
        return Advice(fault=str(error))


def _yes_or_no(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"restart is {value!r:.50}, and must be true or false")


def _ms(name: str, value: object, least: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r:.50}, and must be seconds")
    if not least / 1_000 <= value <= SECONDS_MAX:
        raise ValueError(f"{name} is {value!r:.50}, and must be {least} to {SECONDS_MAX} seconds")
    return round(value * 1_000)


def _whole(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MEMORY_BYTES_MAX:
        raise ValueError(f"{name} is {value!r:.50}, and must be bytes")
    return value


def _config(value: object) -> Payload | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"config is {value!r:.50}, and must be a dict")
    config = cast("dict[str, Any]", value)
    packed = msgspec.msgpack.encode(config)
    if len(packed) > INLINE_BYTES_MAX:
        raise ValueError(f"config has {len(packed)} bytes, and at most {INLINE_BYTES_MAX}")
    return Payload(inline=packed) if config else NOTHING
