"""Mutants of the mesh: agreement, membership, gossip, bids and copies."""

from visionflow.testing.mutants.mutant import Mutant

TESTS = "tests/engine/mesh/"
TWO_VALUES = (
    TESTS
    + "test_agreement.py::test_never_are_two_values_chosen_whatever_becomes_of_messages_and_members"
)

AGREEMENT = (
    Mutant(
        "half of an electorate decides",
        "engine/mesh/agreement.py",
        "return len(self._electorate) // 2 + 1",
        "return (len(self._electorate) + 1) // 2",
        TWO_VALUES,
    ),
    Mutant(
        "a restarted peer keeps its vote",
        "engine/mesh/agreement.py",
        "return (member.agent, member.incarnation)",
        "return (member.agent, 0)",
        TWO_VALUES,
    ),
    Mutant(
        "a proposer goes on with its own wish whatever was accepted before",
        "engine/mesh/agreement.py",
        "proposed = value if ballot else self._wish",
        "proposed = self._wish or value",
        TWO_VALUES,
    ),
    Mutant(
        "a peer accepts a ballot although it promised a higher one",
        "engine/mesh/agreement.py",
        "            return None\n        if message.ballot < self._promised:\n",
        "            return None\n        if message.ballot < 0:\n",
        TWO_VALUES,
    ),
    Mutant(
        "a peer tells the value that it accepted without its ballot",
        "engine/mesh/agreement.py",
        "ballot, value = max(self._promises.values())",
        "ballot, value = max(self._promises.values(), key=lambda each: each[1])",
        TESTS
        + "test_agreement.py"
        + "::test_of_values_that_were_accepted_before_the_one_of_the_highest_ballot_is_proposed",
    ),
    Mutant(
        "an award to any member is accepted",
        "engine/mesh/auction.py",
        "and award.winner == (won.agent if won else None)",
        "and (won is None or award.winner in self._agents)",
        TESTS + "test_mesh_auctions.py::test_an_award_to_another_than_the_best_is_not_accepted",
    ),
    Mutant(
        "bids are believed whatever their parts come to",
        "engine/mesh/auction.py",
        "if bid is None or (bid.agent == sender.agent and adds_up(bid)):",
        "if bid is None or bid.agent == sender.agent:",
        TESTS
        + "test_mesh_auctions.py"
        + "::test_a_bid_that_does_not_add_up_is_none_and_neither_is_a_bid_for_another",
    ),
)

MEMBERSHIP = (
    Mutant(
        "half of the membership is a majority",
        "engine/mesh/membership.py",
        "return 2 * some > members",
        "return 2 * some >= members",
        TESTS
        + "test_membership.py"
        + "::test_who_reaches_half_of_the_membership_or_less_is_read_only_in_an_even_split_both",
    ),
    Mutant(
        "who joins is counted before the members have agreed on it",
        "engine/mesh/roster.py",
        "(incarnation, place))\n            self._propose(now_ms)\n",
        "(incarnation, place))\n            if self.roster is not None:\n"
        "                change = Change(((agent, incarnation, place),))\n"
        "                self._adopt(changed(self.roster, change), [])\n",
        TESTS
        + "test_membership.py"
        + "::test_members_that_joined_on_one_side_of_a_cut_do_not_give_it_a_second_majority",
    ),
    Mutant(
        "who knows of a change of the roster under way goes on as if there were none",
        "engine/mesh/membership.py",
        "return waited or self._alone(members)",
        "return self._alone(members)",
        TESTS
        + "test_membership.py"
        + "::test_who_knows_of_a_change_and_not_of_its_outcome_takes_nothing_new_and_tells_others",
    ),
    Mutant(
        "one that is doubted by anybody has failed",
        "engine/mesh/membership.py",
        "if not standing.failed and is_majority(",
        "if not standing.failed or is_majority(",
        TESTS + "test_membership.py::test_two_of_four_cannot_declare_the_others_failed",
    ),
    Mutant(
        "a doubt is not taken back",
        "engine/mesh/membership.py",
        "if version >= self.version:",
        "if version > self.version + 8:",
        TESTS
        + "test_membership.py"
        + "::test_a_stopped_process_that_goes_on_takes_back_the_doubts_and_blames_nobody",
    ),
    Mutant(
        "who slept blames the others for what it did not hear",
        "engine/mesh/membership.py",
        "if late_ms > HEARTBEAT_MS:",
        "if late_ms < 0:",
        TESTS + "test_membership.py::test_time_that_was_slept_through_says_nothing_of_others",
    ),
    Mutant(
        "a member is doubted although others reach it",
        "engine/mesh/membership.py",
        "return [Send(helper, asking) for helper in chance.some(among, HELPERS)]",
        "return [Send(helper, asking) for helper in chance.some(among, 0)]",
        TESTS
        + "test_membership.py"
        + "::test_a_member_that_others_reach_is_not_doubted_by_one_that_does_not",
    ),
)

SPREADING = (
    Mutant(
        "of two facts the one that came last counts",
        "engine/mesh/gossip.py",
        "if (other.incarnation, other.counter) > (held.incarnation, held.counter):",
        "if other != held:",
        TESTS
        + "test_mesh_gossip.py"
        + "::test_of_a_fact_the_last_life_and_in_it_the_highest_counter_counts",
    ),
    Mutant(
        "what no news told stays unknown",
        "engine/mesh/gossip.py",
        "differs = total != self.held.total",
        "differs = total == self.held.total",
        TESTS + "test_mesh_gossip.py::test_anti_entropy_alone_finds_what_no_news_told",
    ),
    Mutant(
        "a copy is kept whatever its hash",
        "engine/mesh/replication.py",
        "if not fits or digest_of(message.value) != message.digest:",
        "if not fits:",
        TESTS
        + "test_replication.py"
        + "::test_a_copy_that_has_not_the_hash_that_came_with_it_is_not_kept",
    ),
    Mutant(
        "nobody replaces copies once their maker is lost",
        "engine/mesh/replication.py",
        "if first == self._me:",
        "if first == copy.keeper:",
        TESTS
        + "test_replication.py"
        + "::test_the_maker_of_a_result_may_be_lost_at_any_moment_once_one_other_holds_it",
    ),
    Mutant(
        "copies are made in one process although there are others",
        "engine/mesh/replication.py",
        "for taken in (machines, processes, None):",
        "for taken in (None,):",
        TESTS
        + "test_replication.py"
        + "::test_copies_are_on_as_many_machines_and_in_as_many_processes_as_there_can_be",
    ),
    Mutant(
        "a new agent bids as one that always failed",
        "engine/mesh/bidding.py",
        "past = PAST_BP * (completed + PRIOR_TASKS) // (completed + failed + PRIOR_TASKS)",
        "past = PAST_BP * completed // max(1, completed + failed)",
        TESTS
        + "test_bidding.py"
        + "::test_a_new_agent_is_not_judged_by_being_new_and_loses_to_no_record_but_a_clean_one",
    ),
)

SHARING = (
    Mutant(
        "a peer bids for each of several auctions as if it bid for no other",
        "worker/bidder.py",
        "open_tasks=open_tasks + hoped_for,",
        "open_tasks=open_tasks,",
        "tests/worker/test_peers.py::test_like_peers_share_what_is_announced_at_once",
    ),
    Mutant(
        "a peer bids before it knows how it stands in other auctions",
        "worker/bidder.py",
        "if None in stands and now_ms - since_ms < HOLD_MS:",
        "if None in stands and now_ms - since_ms < 0:",
        "tests/worker/test_peers.py::test_like_peers_share_what_is_announced_at_once",
    ),
    Mutant(
        "of equal bids the same peer is always first",
        "engine/mesh/bidding.py",
        "return -bid.total_bp, blake2b(name, digest_size=8).digest(), bid.agent",
        "return -bid.total_bp, name[:0], bid.agent",
        TESTS
        + "test_bidding.py"
        + "::test_who_is_first_among_equals_is_agreed_on_and_goes_round_by_auction",
    ),
)

MUTANTS = AGREEMENT + MEMBERSHIP + SPREADING + SHARING
