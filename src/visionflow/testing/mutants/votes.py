"""Mutants of votes in the engine."""

from visionflow.testing.mutants.mutant import Mutant

FILE = "engine/decide/votes.py"
COUNTING = "engine/voting.py"
ASKING = "engine/decide/balloting.py"
READING = "engine/decide/opinions.py"
TESTS = "tests/engine/test_votes.py::"
ASKED = "tests/engine/test_asked_votes.py::"

MUTANTS = (
    Mutant(
        "a result that a vote rejects stays a success of its maker",
        ASKING,
        "Decision.REJECTED: Standing.FAILED}",
        "Decision.REJECTED: Standing.COMPLETED}",
        "tests/engine/test_vote_records.py"
        "::test_who_made_what_a_vote_rejects_is_weighed_below_who_never_did_anything",
    ),
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
    Mutant(
        "a ballot without evidence counts",
        READING,
        "    if found.choice is not Choice.ABSTAIN and not found.evidence:\n",
        "    if found.choice is Choice.RANK and not found.evidence:\n",
        ASKED + "test_whoever_gives_no_evidence_or_no_ballot_or_nothing_at_all_has_abstained",
    ),
    Mutant(
        "a vote that the swarm rejects completes its plan",
        ASKING,
        "    if decision is Decision.APPROVED:\n",
        "    if decision is not Decision.UNDECIDED:\n",
        ASKED + "test_a_plan_completes_only_when_those_that_did_not_make_it_approve",
    ),
    Mutant(
        "authors vote on their own work",
        ASKING,
        "    others = [name for name in able if name not in made]\n",
        "    others = able\n",
        ASKED + "test_a_plan_completes_only_when_those_that_did_not_make_it_approve",
    ),
    Mutant(
        "what is referred to a person is undecided",
        ASKING,
        "    if found.refer and not final:\n",
        "    if found.refer and final:\n",
        ASKED + "test_what_is_referred_waits_for_a_person_and_ends_as_they_say",
    ),
    Mutant(
        "ballots of unequal worth count the same",
        COUNTING,
        "weights.get(name, 0) if weights else 1",
        "1",
        ASKED + "test_weights_are_the_records_at_the_opening_and_stay",
    ),
    Mutant(
        "a cycle of preferences elects by the first link",
        COUNTING,
        "max(paths[i][j], min(paths[i][via], paths[via][j]))",
        "max(paths[i][j], 0)",
        "tests/engine/test_ballot_counting.py::test_the_schulze_method_elects_as_in_its_own_example",
    ),
)
