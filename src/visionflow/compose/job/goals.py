"""Which goals the present backends can meet: testing and reviewing the repository as it is.

A goal is understood when it names testing or reviewing and asks for nothing else. The match is by
words, and leans to refusing: work that was not asked for, or a "completed" that is not true, is
worse than a goal that must be put differently. Whatever of the two it names, both are done.
"""

import re

_UNDERSTOOD = frozenset(
    """test tests tested testing review reviews reviewed reviewing check checks checking lint
    linting scan audit examine inspect assess analyse analyze verify validate quality security
    coverage""".split()
)
_BEYOND = frozenset(
    """add adapt automate benchmark build change clean code commit configure convert create debug
    delete deploy design develop document draft edit explain extend fix generate implement improve
    install integrate invent make merge migrate modernise modernize move optimise optimize plan
    port publish push refactor release remove rename repair replace research resolve rewrite
    scaffold ship simplify summarise summarize train translate update upgrade write""".split()
)


def missing_for(goal: str) -> str | None:
    """What is missing to meet the goal, one sentence; `None` when it can be met."""
    words = re.findall(r"[a-z]+", goal.lower())
    beyond = [word for word in words if word in _BEYOND]
    if beyond:
        return (
            f"The goal asks to {beyond[0]!r} something, and the tools backend only tests and "
            "reviews a repository as it is."
        )
    if not any(word in _UNDERSTOOD for word in words):
        return (
            "The goal names neither testing nor reviewing, which is all that the tools backend "
            'does; such as "Test and review this repository".'
        )
    return None
