"""What every message between the orchestrator and its workers is."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="message"):
    """Base of all messages."""
