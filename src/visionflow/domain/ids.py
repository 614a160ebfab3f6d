"""Ids: `<kind>_<milliseconds>_<random>`. They sort by time of birth within a kind.

Where randomness comes from is the caller's business: it hands in the entropy.
"""

import re
from hashlib import sha256

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
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


def one_word(name: str) -> str:
    """A name as one word of a subject, which is also a file's name on any system.

    A plain name (small letters, digits, `_` and `-`) is itself; any other is told apart by a hash.
    """
    if _PLAIN.fullmatch(name):
        return name
    return f"x-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:32]}"
