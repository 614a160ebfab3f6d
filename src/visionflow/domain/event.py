"""What every event is."""

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, tag_field="t", kw_only=True):
    """Base of all events. The time of an event is its record's."""
