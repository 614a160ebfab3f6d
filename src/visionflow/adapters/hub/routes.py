"""Who listens to a subject. Knows nothing of connections or of what is said.

A subject that was looked up once is found again by one dictionary access; the memory of lookups
is thrown away whenever a pattern comes or goes, and when it is full.
"""

from typing import Generic, TypeVar

T = TypeVar("T")

_KNOWN_MAX = 8_192


def check_subject(subject: str) -> None:
    """Refuse what cannot be published to.

    Raises:
        ValueError: empty words, a wildcard, or a subject that is the hub's own.
    """
    if not subject or subject[0] in "$?!" or "*" in subject or ">" in subject:
        raise ValueError(f"{subject!r} is not a subject to publish to: words joined by dots are")
    if subject[0] == "." or subject[-1] == "." or ".." in subject:
        raise ValueError(f"{subject!r} has an empty word")


def check_pattern(pattern: str) -> None:
    """Refuse what cannot be subscribed to.

    Raises:
        ValueError: empty words, or a wildcard that is not a word of its own at its place.
    """
    words = pattern.split(".")
    for place, word in enumerate(words):
        bad = not word or (len(word) > 1 and ("*" in word or ">" in word)) or word[0] in "$?!"
        if bad or (word == ">" and place != len(words) - 1):
            raise ValueError(
                f"{pattern!r} is not a pattern: words joined by dots are, with `*` for one word "
                "and `>` at the end for all that follow"
            )


def is_exact(pattern: str) -> bool:
    """Whether it fits one subject only."""
    return "*" not in pattern and ">" not in pattern


def fits(pattern: list[str], subject: list[str]) -> bool:
    """Whether the words of a subject fit those of a pattern.

    A narrower pattern fits a wider one in the same way.
    """
    for place, word in enumerate(pattern):
        if word == ">":
            return len(subject) > place
        if place >= len(subject) or subject[place] == ">":
            return False
        if word not in ("*", subject[place]):
            return False
    return len(pattern) == len(subject)


class Patterns:
    """A fixed set of patterns, asked whether a subject is among them."""

    def __init__(self, patterns: frozenset[str]) -> None:
        self._texts = patterns
        self._wild = [pattern.split(".") for pattern in sorted(patterns) if not is_exact(pattern)]

    def cover(self, subject: str) -> bool:
        """Whether one of the patterns fits the subject. A pattern covers itself."""
        if subject in self._texts:
            return True
        if not self._wild:
            return False
        words = subject.split(".")
        return any(fits(pattern, words) for pattern in self._wild)


class Routes(Generic[T]):
    """Listeners by pattern, in the order in which they came."""

    def __init__(self) -> None:
        self._exact: dict[str, list[T]] = {}
        self._wild: list[tuple[str, list[str], T]] = []
        self._known: dict[str, tuple[T, ...]] = {}

    def add(self, pattern: str, listener: T) -> None:
        """Listen from now on.

        Raises:
            ValueError: this is no pattern.
        """
        check_pattern(pattern)
        if is_exact(pattern):
            self._exact.setdefault(pattern, []).append(listener)
        else:
            self._wild.append((pattern, pattern.split("."), listener))
        self._known.clear()

    def remove(self, pattern: str, listener: T) -> None:
        """Listen no more; harmless when it did not."""
        if is_exact(pattern):
            listeners = self._exact.get(pattern, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._exact.pop(pattern, None)
        else:
            for place, (text, _, known) in enumerate(self._wild):
                if text == pattern and known is listener:
                    del self._wild[place]
                    break
        self._known.clear()

    def match(self, subject: str) -> tuple[T, ...]:
        """All who listen to this subject, each once."""
        known = self._known.get(subject)
        return known if known is not None else self._look_up(subject)

    def _look_up(self, subject: str) -> tuple[T, ...]:
        found = list(self._exact.get(subject, ()))
        words = subject.split(".")
        for _, pattern, listener in self._wild:
            if fits(pattern, words) and listener not in found:
                found.append(listener)
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[subject] = tuple(found)
        return self._known[subject]
