"""Mutants of votes in the engine."""

from visionflow.testing.mutants.mutant import Mutant

FILE = "engine/decide/votes.py"
COUNTING = "engine/voting.py"
ASKING = "engine/decide/balloting.py"
TESTS = "tests/engine/test_votes.py::"

MUTANTS = (
    Mutant(
        "a tie is an approval",
        COUNTING,
        "    if tally.approve == tally.reject:\n        return Decision.UNDECIDED\n"
        "    return Decision.APPROVED if tally.approve > tally.reject else Decision.REJECTED\n",
        "    return Decision.APPROVED if tally.approve >= tally.reject else Decision.REJECTED\n",
        TESTS + "test_the_last_ballot_decides_by_majority_of_those_that_say_yes_or_no",
    ),
    Mutant(
        "who abstains is counted against",
        COUNTING,
        "Decision.APPROVED if tally.approve > tally.reject else",
        "Decision.APPROVED if tally.approve > tally.reject + tally.abstain else",
        TESTS + "test_the_same_ballots_in_any_order_decide_the_same",
    ),
    Mutant(
        "consent is outvoted",
        COUNTING,
        "    if tally.reject:\n",
        "    if tally.reject > tally.approve:\n",
        TESTS + "test_by_consent_one_that_rejects_is_not_outvoted",
    ),
    Mutant(
        "a stranger's ballot counts",
        FILE,
        "    if command.member not in vote.ballots:\n",
        "    if command.member not in state.agents and command.member not in vote.ballots:\n",
        TESTS + "test_an_agent_that_joins_later_is_a_stranger",
    ),
    Mutant(
        "a second ballot replaces the first",
        FILE,
        "    if vote.ballots[command.member] is not None:\n",
        "    if vote.ballots[command.member] is command.choice:\n",
        TESTS + "test_a_ballot_that_does_not_count_is_refused_on_record_and_changes_nothing",
    ),
    Mutant(
        "the last ballot does not end the vote",
        ASKING,
        "    if all(said is not None or name in own for name, said in vote.ballots.items()):\n",
        "    if all(said is not None for said in vote.ballots.values()):\n",
        TESTS + "test_the_last_ballot_decides_by_majority_of_those_that_say_yes_or_no",
    ),
    Mutant(
        "an empty electorate decides",
        FILE,
        "    if not members:\n",
        "    if members is None:\n",
        TESTS + "test_nobody_to_vote_is_an_error",
    ),
    Mutant(
        "a refused ballot is not on record as one",
        FILE,
        "    return RefusedOnRecord(event, code, event.message)\n",
        "    return Refused(event.message, code=code)\n",
        TESTS + "test_a_ballot_that_does_not_count_is_refused_on_record_and_changes_nothing",
    ),
)
