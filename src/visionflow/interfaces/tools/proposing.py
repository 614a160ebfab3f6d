"""A proposal as a client writes it, read to what a vote needs.

Its keys may be written as in the guide (`voting_mechanism`) or as arguments (`votingMechanism`).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Matter, Mechanism, Resolution, Terms, VoteSpec
from visionflow.engine.state import SwarmState
from visionflow.engine.voting import FULL_BP
from visionflow.interfaces.tools.forms import FORMS

E = TypeVar("E", Mechanism, Resolution)
ALL = "all"
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)
MECHANISMS = tuple(each.value for each in Mechanism if each is not Mechanism.CONSENT)
QUESTION_CHARS_MAX = 10_000
RESOLUTIONS = tuple(each.value for each in Resolution)
SUBJECTS = {each.value: each for each in Matter}
TERMS = ("voting_mechanism", "threshold", "quorum", "timeout", "conflict_resolution", "capability")
_OTHER = ("candidates", "options", "description")
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal that was understood."""

    matter: Matter
    question: str
    about: Any = None
    """What its subject says: of a patch or a result the id of the task, else words."""
    options: tuple[str, ...] = ()
    """Of an assignment: candidates, by id or name; nobody named: the electorate."""
    mechanism: Mechanism = Mechanism.MAJORITY
    terms: Terms = Terms()

    @property
    def judged(self) -> str | None:
        """The task whose result is voted on."""
        return self.about if self.matter in (Matter.PATCH, Matter.TASK_RESULT) else None

    def spec(
        self, vote: str, members: tuple[str, ...], candidates: tuple[str, ...], shown: Payload
    ) -> VoteSpec:
        """The vote, by ids: `candidates` those of an assignment, of whom the electorate is chosen
        where there are none. `shown`: the proposal as it was written."""
        options = self.options
        if self.matter is Matter.TASK_ASSIGNMENT:
            options = candidates or members
        return VoteSpec(
            vote,
            self.question,
            members,
            self.mechanism,
            matter=self.matter,
            options=options,
            terms=self.terms,
            asked=True,
            proposal=shown,
            task=self.judged,
        )


def members_in(
    state: SwarmState, names: Iterable[str], find: Callable[[str], str]
) -> tuple[str, ...]:
    """The ids of agents, each once; `all` means all that are there. `find` gives that of a word."""
    found: dict[str, None] = {}
    for name in names:
        if name == ALL:
            alive = state.agents.items()
            found.update((each, None) for each, agent in alive if agent.status not in GONE)
        else:
            found[find(name)] = None
    return tuple(found)


def read_proposal(given: Mapping[str, object]) -> Proposed:
    """The proposal.

    Raises:
        UsageError: it cannot be understood; the message says what there is.
    """
    found = {snake(key): each for key, each in given.items()}
    subjects = [key for key in found if key in SUBJECTS]
    known = (*SUBJECTS, *TERMS, *_OTHER)
    unknown = [key for key in found if key not in known]
    if unknown or len(subjects) != 1:
        wrong = (
            f"{unknown[0]!r:.100} is no part of it" if unknown else f"it has {subjects or 'none'}"
        )
        raise UsageError(
            f"A proposal is about one of {', '.join(SUBJECTS)}: {wrong}.",
            hint=f"Beside it may stand {', '.join((*TERMS, *_OTHER))}.",
        )
    subject = subjects[0]
    matter, about = SUBJECTS[subject], found[subject]
    options = _choices(found, subject, matter)
    if not isinstance(about, str | dict) or not about:
        raise UsageError(f"{subject} is a text that says what it is about.")
    if matter in (Matter.PATCH, Matter.TASK_RESULT) and not isinstance(about, str):
        raise UsageError(f"{subject} is the id of a task that has a result.")
    mechanism, terms = read_terms(found)
    asks = {
        Matter.PATCH: "Is the change of {} good enough to be taken?",
        Matter.TASK_RESULT: "Is the result of {} right?",
        Matter.TASK_ASSIGNMENT: "Who is to do {}?",
        Matter.QUESTION: "{}",
    }[matter]
    told = about if isinstance(about, str) else msgspec.json.encode(about).decode()
    text = _text(found, "description") or asks.format(told)
    if len(text) > QUESTION_CHARS_MAX:
        part = "description" if found.get("description") else subject
        raise UsageError(
            f"{part} makes a question of {len(text)} characters; members are asked at most "
            f"{QUESTION_CHARS_MAX}.",
            hint="Store what is long with memory_store, or name a file, and ask about that.",
        )
    return Proposed(
        matter=matter,
        question=text,
        about=cast(Any, about),
        options=options,
        mechanism=mechanism,
        terms=terms,
    )


def snake(key: str) -> str:
    """`voting_mechanism` for `votingMechanism`."""
    return _HUMP.sub(lambda m: "_" + m[1].lower(), key)


def read_terms(
    given: Mapping[str, object], usual: Mechanism = Mechanism.MAJORITY
) -> tuple[Mechanism, Terms]:
    """How it is decided, from the keys `TERMS`.

    Raises:
        UsageError: a value is none of those that there are.
    """
    mechanism = _one(given, "voting_mechanism", Mechanism, MECHANISMS) or usual
    timeout = given.get("timeout")
    try:
        timeout_ms = None if timeout is None else cast(int, FORMS["seconds"].read(timeout))
    except ValueError as error:
        raise UsageError(f"timeout is {timeout!r:.100}; it is {error}, in seconds.") from error
    resolution = _one(given, "conflict_resolution", Resolution, RESOLUTIONS)
    terms = Terms(
        threshold_bp=_share(given, "threshold"),
        quorum_bp=_share(given, "quorum"),
        resolution=resolution or Resolution.NONE,
        timeout_ms=timeout_ms,
        capability=_text(given, "capability"),
    )
    return mechanism, terms


def _one(given: Mapping[str, object], key: str, kind: type[E], words: tuple[str, ...]) -> E | None:
    value = given.get(key)
    if value is None:
        return None
    if value not in words:
        raise UsageError(
            f"There is no {key} {value!r:.100}.", hint=f"There are {', '.join(words)}."
        )
    return kind(value)


def _share(given: Mapping[str, object], key: str) -> int:
    """A share in basis points; 0 where none is given."""
    value = given.get(key)
    if value is None:
        return 0
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if not 1 <= number * FULL_BP <= FULL_BP:
        raise UsageError(
            f"{key} is {value!r:.100}; it is a share from {1 / FULL_BP:g} to 1, such as 0.67."
        )
    return round(FULL_BP * number)


def _text(given: Mapping[str, object], key: str) -> str:
    value = given.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{key} is a text.")
    return value


def _choices(given: Mapping[str, object], subject: str, matter: Matter) -> tuple[str, ...]:
    """What is chosen from, each once."""
    own = {Matter.QUESTION: "options", Matter.TASK_ASSIGNMENT: "candidates"}.get(matter)
    odd = next((key for key in ("candidates", "options") if key in given and key != own), None)
    if odd is not None:
        raise UsageError(
            f"A {subject} has no {odd}: a question may have options, a task_assignment candidates; "
            "a patch or a task_result is approved or rejected."
        )
    if own is None or own not in given:
        return ()
    try:
        words = cast("tuple[str, ...]", FORMS["words"].read(given[own]))
    except ValueError as error:
        raise UsageError(f"{own} is {error}.") from error
    twice = next((word for place, word in enumerate(words) if word in words[:place]), None)
    if twice is not None:
        raise UsageError(f"{own} has {twice!r:.100} twice; each is named once.")
    if len(words) < 2:
        hint = "A question without options is approved or rejected."
        if matter is Matter.TASK_ASSIGNMENT:
            hint = f"Without {own} the electorate is chosen from; one agent needs no vote."
        raise UsageError(f"{own} has {len(words)}, which is too few to choose from.", hint=hint)
    return words
