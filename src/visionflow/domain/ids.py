"""Ids: `<kind>_<milliseconds>_<random>`. They sort by time of birth within a kind.

Where randomness comes from is the caller's business: it hands in the entropy.
"""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def make_id(kind: str, now_ms: int, entropy: int) -> str:
    """An id such as `task_1757967065850_dv2zg7qk1`; `entropy` is at least 46 random bits."""
    text = ""
    for _ in range(9):
        entropy, digit = divmod(entropy, 36)
        text += _DIGITS[digit]
    return f"{kind}_{now_ms}_{text}"
