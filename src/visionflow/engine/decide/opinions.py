"""What a member's answer to `cast_ballot` says, and why it abstains where it says nothing."""

import msgspec

from visionflow.domain.limits import INLINE_BYTES_MAX, WORD_CHARS_MAX
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Cast, Choice, Opinion
from visionflow.engine.state import VoteState
from visionflow.engine.voting import is_ballot_for

FACTS_BYTES_MAX = 4_096
REASON_CHARS_MAX = 4_000
WHY_CHARS_MAX = 1_000
_facts = msgspec.msgpack.Encoder()
_opinions = msgspec.msgpack.Decoder(Opinion)
_BOUNDS = (
    f"its evidence has at most {WORD_CHARS_MAX} characters, its reason {REASON_CHARS_MAX}, its "
    f"facts {FACTS_BYTES_MAX} bytes, and all of it {INLINE_BYTES_MAX} bytes"
)


def read_opinion(vote: VoteState | None, result: Payload | None, why: str = "") -> Opinion:
    """What a member says. `result`: its answer; `None`: it gave none, because of `why`."""
    if result is None:
        told = why or "its task ended without a result"
        return Opinion(Choice.ABSTAIN, reason=f"It gave no answer: {told}"[:WHY_CHARS_MAX])
    if result.inline is None and result.blob is not None:
        return _no_ballot(f"it is too large; {_BOUNDS}")
    try:
        found = _opinions.decode(result.inline or b"")
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return _no_ballot(str(error))
    long = len(found.evidence) > WORD_CHARS_MAX or len(found.reason) > REASON_CHARS_MAX
    if long or len(_facts.encode(found.facts)) > FACTS_BYTES_MAX:
        return _no_ballot(f"it is too long; {_BOUNDS}")
    if found.choice is not Choice.ABSTAIN and not found.evidence:
        told = f": {found.reason}" if found.reason else ""
        return Opinion(Choice.ABSTAIN, reason=f"It gave no evidence{told}"[:REASON_CHARS_MAX])
    wrong = None if vote is None else is_ballot_for(vote.spec, Cast(found.choice, found.ranking))
    if wrong is not None:
        return _no_ballot(wrong)
    if found.choice is not Choice.RANK and found.ranking:
        return msgspec.structs.replace(found, ranking=())
    return found


def _no_ballot(why: str) -> Opinion:
    return Opinion(Choice.ABSTAIN, reason=f"Its answer is no ballot: {why}."[:WHY_CHARS_MAX])
