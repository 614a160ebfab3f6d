"""What every command is."""

import msgspec


class Command(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """Base of all commands. One with a `command` id that was seen before gets its first answer
    again."""

    now_ms: int
    command: str | None = None
