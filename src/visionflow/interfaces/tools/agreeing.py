"""How a swarm votes on what a task came to before it completes: `consensusRequired`."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Agreement, Matter, Mechanism, Resolution, Terms, VoteSpec
from visionflow.interfaces.tools.proposing import TERMS, read_terms, snake

EXPERT = Resolution.EXPERT_PRIORITY.value
USUAL_TERMS = Terms(resolution=Resolution.EXPERT_PRIORITY)


def agreement_in(asked: bool | Mapping[str, Any] | None) -> Agreement | None:
    """How the result is voted on; without more words as the guide has it.

    Raises:
        UsageError: a word of it is none, or it is neither a truth value nor an object.
    """
    if not isinstance(asked, Mapping):
        if not isinstance(cast("object", asked), bool | None):
            raise UsageError(f"consensusRequired is {asked!r:.100}; it is true, or an object.")
        return Agreement(terms=USUAL_TERMS) if asked else None
    found = {snake(key): each for key, each in asked.items()}
    unknown = next((key for key in found if key not in TERMS), None)
    if unknown is not None:
        raise UsageError(
            f"consensusRequired: {unknown!r:.100} is no part of it.",
            hint=f"There are {', '.join(TERMS)}.",
        )
    mechanism, terms = read_terms({"conflict_resolution": EXPERT, **found}, Mechanism.WEIGHTED)
    if mechanism is Mechanism.RANKED:
        raise UsageError("A result is approved or rejected, and not ranked.")
    return Agreement(mechanism, terms)


def vote_on_result(root: str, agreement: Agreement | None) -> VoteSpec | None:
    """The vote on what a plan comes to, whose electorate is found when it has come."""
    if agreement is None:
        return None
    return VoteSpec(
        f"{root}.consensus",
        f"Is what came of {root} right?",
        (),
        agreement.mechanism,
        matter=Matter.TASK_RESULT,
        terms=agreement.terms,
        proposal=Payload(inline=msgspec.msgpack.encode({"task_result": root})),
    )
