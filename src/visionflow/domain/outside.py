"""Outside effects: what agents do to the world beyond the swarm, and what is known of each."""

from enum import StrEnum


class EffectClass(StrEnum):
    """What can be known of an effect after a crash between doing it and recording it."""

    TRANSACTIONAL = "transactional"
    """The other system keeps the key in the same transaction as the effect: asked again with the
    same key it does nothing twice."""
    IDEMPOTENT = "idempotent"
    """The other system knows the key, and does nothing twice under it."""
    PROBEABLE = "probeable"
    """It can be looked whether it happened."""
    IN_DOUBT = "in_doubt"
    """Nobody can tell but a person."""


REPEATABLE = (EffectClass.TRANSACTIONAL, EffectClass.IDEMPOTENT)
"""What may be carried out again under the same key."""


class EffectStatus(StrEnum):
    """Where an effect stands in the ledger."""

    RESERVED = "reserved"
    """An attempt was allowed to carry it out, and has not said how that went."""
    SETTLED = "settled"
    """It happened."""
    FAILED = "failed"
    """It certainly did not happen."""
    IN_DOUBT = "in_doubt"
    """It may have happened; a person has to say."""
    RESOLVED = "resolved"
    """A person has said."""


UNSETTLED = (EffectStatus.RESERVED, EffectStatus.IN_DOUBT)
"""What became of it is not known."""


class Resolution(StrEnum):
    """What a person says of an effect in doubt."""

    DONE = "done"
    NOT_DONE = "not_done"
    """It may be carried out now."""
    ABANDONED = "abandoned"
    """Whether it happened or not, nobody is to go on with it: the tasks that wait for it fail."""


class EffectOutcome(StrEnum):
    """How an attempt says that an effect went."""

    HAPPENED = "happened"
    NOT_DONE = "not_done"
    """It certainly did not happen."""
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What an attempt is told that asks for an effect, or reports one."""

    RUN = "run"
    """It is reserved, and nobody has begun it: carry it out."""
    UNSETTLED = "unsettled"
    """It is reserved, and somebody began it before: repeat it under its key, or look first."""
    SETTLED = "settled"
    """It happened before, with the result that comes with this."""
    RECORDED = "recorded"
    """What was reported is in the log."""
    DOUBTED = "in_doubt"
    """Nobody knows, so a person is asked; the attempt ends."""
    ABANDONED = "abandoned"
    """A person said that nobody is to go on with it."""
    HELD = "held"
    """Another task is at it under the same key."""
    STALE = "stale"
    """Another attempt has begun, or the task has ended."""
    REFUSED = "refused"
