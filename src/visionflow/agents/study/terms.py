"""What of a goal can be looked up: its words, without those that say nothing of the subject."""

import re
from collections.abc import Collection

TERMS_MAX = 12
_WORD = re.compile(r"\w+(?:[-'.]\w+)*")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STOP = frozenset(
    """
    a about above after all also an and any are as at be because been before being below between
    both but by can cannot could did do does doing done during each every few first for from
    further get gets give given gives go goes had has have having he her here his how i if in into
    is it its itself just know let like made make makes many may me might more most much must my
    need needs no nor not now of off on once one only or other our out over own per please same say
    see she should show so some such tell than that the their them then there these they this those
    through to too under until up upon us use used uses using very want was we were what when where
    whether which while who whole whom whose why will with within without would yes you your
    about against am been did doesn don isn it's what's where's how's

    add analyse analyze answer assess audit check code codebase describe detail detailed details
    determine diagnose discover document evaluate examine explain explore file files find findings
    fix folder gather give identify inspect investigate learn list look map overview package
    please project projects report repo repository research review run source study summarise
    summarize summary survey understand walk work works working workspace
    """.split()
)
"""English, and what a goal says of the job and not of the subject."""


def terms_of(goal: str, beside: Collection[str] = ()) -> tuple[str, ...]:
    """Words of the goal worth looking up, as they are written, in their order; at most
    `TERMS_MAX`, and none of `beside` (in lower case)."""
    found: dict[str, str] = {}
    for word in _WORD.findall(goal[:10_000]):
        low = word.lower()
        if low in _STOP or low in beside or len(low) < 2 or low.isdigit():
            continue
        if not any(each.isalnum() for each in low):
            continue
        found.setdefault(low, word)
    return tuple(found.values())[:TERMS_MAX]


def split_humps(text: str) -> str:
    """`text` with `camelCase` taken apart: `camel Case`."""
    return _HUMP.sub(" ", text)


def phrase(term: str) -> str:
    """A query of FTS5 for the term as a phrase, literally: nothing in it acts as an operator."""
    plain = term.replace("\0", " ")
    ways = dict.fromkeys((plain, split_humps(plain)))
    return "(" + " OR ".join('"' + each.replace('"', '""') + '"' for each in ways) + ")"
