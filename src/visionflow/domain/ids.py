"""Ids: `<kind>_<milliseconds>_<random>`. They sort by time of birth within a kind.

Where randomness comes from is the caller's business: it hands in the entropy.
"""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(low + high for high in _DIGITS for low in _DIGITS)


def make_id(kind: str, now_ms: int, entropy: int) -> str:
    """An id such as `task_1757967065850_dv2zg7qk1`; `entropy` is at least 46 random bits."""
    entropy, a = divmod(entropy, 1_296)
    entropy, b = divmod(entropy, 1_296)
    entropy, c = divmod(entropy, 1_296)
    entropy, d = divmod(entropy, 1_296)
    pairs = _PAIRS
    return f"{kind}_{now_ms}_{pairs[a]}{pairs[b]}{pairs[c]}{pairs[d]}{_DIGITS[entropy % 36]}"
