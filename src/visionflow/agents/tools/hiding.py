"""Hides what may be a secret in a line that is shown or stored.

Rather too much than too little: nobody acts on the hidden part, and a report travels further than
the code it is about. Which lines hold a secret is the tools' to say; this only masks.
"""

import hashlib
import re

from visionflow.agents.tools.text import one_line

LINE_MAX = 160
MASK = "****"
_TELLS = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api.?key|auth(?!or)|credential|private.?key"
    r"|\bsalt\b|_key\b|bearer|connection.?str)"
)
_TELLING = re.compile(_TELLS, re.IGNORECASE)
_QUOTED = re.compile(r"""(["'`])((?:\\.|(?!\1).)*)(\1|$)""")
_ASSIGNED = re.compile(
    _TELLS + r"""(\w*["']?\s*[:=]\s*)([^\s\"'`(){}\[\],;#]{4,})""", re.IGNORECASE
)
_ADDRESS = re.compile(r"(://[^\s/:@'\"]*:)[^\s/@'\"]+@")
_LONG = re.compile(r"[A-Za-z0-9+/=_~.-]{16,}")
_RUN = re.compile(r"[A-Za-z0-9+/=~]{16,}")


def shown_line(line: str) -> str:
    """A line of the repository for a snippet: cleaned, cut, and without what may be a secret."""
    return one_line(hide(line), LINE_MAX)


def hide(line: str, *, prose: bool = False) -> str:
    """`line` with what may be a secret replaced. Of `prose`, such as a log's, quoted sentences and
    commands stay: what has a blank in it is no value."""
    hidden = _ADDRESS.sub(rf"\1{MASK}@", line[:10_000])
    hidden = _LONG.sub(lambda found: MASK if _looks_random(found[0]) else found[0], hidden)
    if "-----BEGIN" in hidden:
        return hidden.split("-----BEGIN")[0] + MASK
    if _TELLING.search(hidden):
        hidden = _QUOTED.sub(_quoted_word if prose else _quoted, hidden)
        hidden = _ASSIGNED.sub(lambda found: found[0][: -len(found[2])] + MASK, hidden)
    return hidden


def _quoted(found: re.Match[str]) -> str:
    return f"{found[1]}{MASK}{found[3]}" if found[2] else found[0]


def _quoted_word(found: re.Match[str]) -> str:
    return found[0] if " " in found[2] else _quoted(found)


def short_hash(secret: str) -> str:
    """What stands for a secret where it is told of: enough to see that two are the same."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _looks_random(word: str) -> bool:
    """Long, of digits and letters mixed, and no path or dotted name."""
    for run in _RUN.findall(word):
        kinds = (
            any(c.isdigit() for c in run) + any(c.islower() for c in run)
            + any(c.isupper() for c in run)
        )  # fmt: skip
        if kinds == 3 or (kinds == 2 and sum(c.isdigit() for c in run) >= 3):
            return True
    return False
