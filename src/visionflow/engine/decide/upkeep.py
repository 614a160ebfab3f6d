"""Whether an agent can be kept at work as its specification says."""

from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import Refused
from visionflow.domain.limits import (
    RECOVERY_FACTOR_MAX,
    RECYCLING_AGE_MS_MIN,
    WORD_CHARS_MAX,
)

WHOLE_BP = 10_000
FACTOR_BP_MAX = RECOVERY_FACTOR_MAX * WHOLE_BP
MS_MAX = 2**53
BYTES_MAX = 1 << 50


def check_upkeep(spec: AgentSpec) -> None:
    """See that recovery and recycling of an agent can be done.

    Raises:
        Refused: `usage`; the message names the field, its value and what is allowed.
    """
    recovery, recycling = spec.recovery, spec.recycling
    for name, value, least, most in (
        ("recovery.timeout_factor_bp", recovery.timeout_factor_bp, WHOLE_BP, FACTOR_BP_MAX),
        ("recovery.timeout_max_ms", recovery.timeout_max_ms, 1, MS_MAX),
        ("recovery.memory_factor_bp", recovery.memory_factor_bp, WHOLE_BP, FACTOR_BP_MAX),
        ("recovery.memory_max_bytes", recovery.memory_max_bytes, 1, BYTES_MAX),
        ("recovery.restarts_max", recovery.restarts_max, 0, MS_MAX),
        ("recovery.backoff_ms", recovery.backoff_ms, 0, MS_MAX),
        ("recycling.memory_bp", recycling.memory_bp, 1, WHOLE_BP),
        ("recycling.tasks_max", recycling.tasks_max, 1, MS_MAX),
        ("recycling.age_ms", recycling.age_ms, RECYCLING_AGE_MS_MIN, MS_MAX),
    ):
        if value is not None and not least <= value <= most:
            raise Refused(
                f"{name} of agent {spec.id} is {value}; it is between {least} and {most}.",
                code="usage",
                hint="Leave it out for the usual.",
            )
    for name, text in (("recovery.name", recovery.name), ("recovery.call", recovery.call or "")):
        if len(text) > WORD_CHARS_MAX:
            raise Refused(
                f"{name} of agent {spec.id} has {len(text)} characters; {WORD_CHARS_MAX} are the "
                "most.",
                code="usage",
            )
