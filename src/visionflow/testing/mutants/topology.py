"""Mutants of the topologies' rules, of who assigns by them, and of the checker of traces."""

from visionflow.testing.mutants.mutant import Mutant

RULES = "engine/topology/rules.py"
ASSIGNING = "engine/decide/assigning.py"
TRACES = "testing/tracelines.py"
TALK_TESTS = "tests/engine/test_topology_rules.py::"
PAIRS = TALK_TESTS + "test_may_speak_agrees_with_a_list_of_all_pairs_whoever_comes_fails_and_goes"
TESTS = "tests/engine/test_topology_assigning.py::"
PLANTED = "tests/engine/test_topology_traces.py::"

MUTANTS = (
    Mutant(
        "the spokes of a star talk with each other",
        RULES,
        "    if centre in (sender, to):\n        return None\n",
        "    if centre is not None:\n        return None\n",
        PAIRS,
    ),
    Mutant(
        "a ring is spoken round both ways",
        RULES,
        "    if after == to:\n        return None\n",
        "    if to in (after, sender) or successor_of(state, to) == sender:\n        return None\n",
        PAIRS,
    ),
    Mutant(
        "members of a team report to the manager beside their lead",
        RULES,
        "    if lead is None or lead == agent or not is_living(state, lead):\n",
        "    if lead is None or lead == agent or is_living(state, lead):\n",
        PAIRS,
    ),
    Mutant(
        "a stage speaks with all that come after it",
        RULES,
        "    if abs(own - other) <= 1:\n",
        "    if other - own >= -1:\n",
        PAIRS,
    ),
    Mutant(
        "an agent that failed goes on as the centre",
        RULES,
        "    return found is not None and found.status not in GONE\n",
        "    return found is not None and found.status is not AgentStatus.TERMINATED\n",
        PAIRS,
    ),
    Mutant(
        "an agent delegates to whom it likes",
        "engine/decide/waiting.py",
        "        if why is not None:\n            raise Refused(why, code=NOT_ALLOWED)\n",
        "",
        TESTS + "test_an_agent_delegates_to_whom_it_may_speak_and_a_refusal_is_on_record",
    ),
    Mutant(
        "the token of a ring begins anew each time",
        "engine/topology/ring.py",
        "state.roster.onward(token, place)",
        "state.roster.onward(None, 0)",
        TESTS + "test_the_token_of_a_ring_goes_round_whoever_has_the_better_record",
    ),
    Mutant(
        "the ring begins anew when the holder of its token is gone",
        "engine/evolve/assigning.py",
        "    assigning.token_place = state.roster.place(event.agent) or 0\n",
        "",
        TESTS + "test_the_ring_goes_on_where_the_token_stood_when_its_holder_is_gone",
    ),
    Mutant(
        "a star is assigned in nobody's name",
        ASSIGNING,
        "return centre_of(state) if topology is Topology.STAR else None",
        "return None",
        TESTS + "test_in_a_star_every_assignment_is_the_centres_and_another_takes_its_place",
    ),
    Mutant(
        "all stages of a phase begin at once",
        "engine/decide/tasks.py",
        "0 < turns <= place or place >= first\n",
        "0 < turns <= place\n",
        TESTS + "test_in_a_sequential_swarm_the_tasks_of_a_phase_go_through_the_stages",
    ),
    Mutant(
        "the last of equal bids wins",
        "engine/topology/choosing.py",
        "max(bids, key=lambda bid: bid.total_bp)",
        "max(reversed(bids), key=lambda bid: bid.total_bp)",
        TESTS + "test_of_equal_bidders_the_one_wins_whose_turn_it_is",
    ),
    Mutant(
        "a balanced swarm looks at records",
        "engine/evolve/table.py",
        "        if room and state.by_load:\n",
        "        if room and state.by_load and not agent.failed:\n",
        TESTS + "test_in_a_balanced_swarm_the_least_loaded_comes_first_whatever_its_record",
    ),
    Mutant(
        "the checker takes any assigner for the right one",
        TRACES,
        "        if by != assigner:\n",
        "        if by is None and assigner is not None:\n",
        PLANTED + "test_a_wrong_assigner_planted_in_a_log_is_found",
    ),
    Mutant(
        "the checker asks for no token",
        TRACES,
        '        if topology == "ring" and not (chosen and',
        '        if topology == "ring" and (pending is not None and not chosen and',
        PLANTED + "test_a_wrong_assigner_planted_in_a_log_is_found",
    ),
)
