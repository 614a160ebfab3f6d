"""What the state of a swarm knows of assignments that a ring or bids decide. Facts, like those of
`state`."""

import msgspec


class Assigning(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while nothing of it has happened, and then no part of the digest."""

    token: str | None = None
    """The agent that was given a task last, in a ring; it may be gone since."""
    token_place: int = 0
    """Where it stands in the order of joining, so that the ring goes on there without it."""
    chosen: tuple[str, str] | None = None
    """(task, agent) that was decided on, and whose assignment is the next event."""
