"""Mutants of teams in a hierarchy."""

from visionflow.testing.mutants.mutant import Mutant

SEATS = "engine/topology/seats.py"
CHOOSING = "engine/topology/hierarchy.py"
FOLDS = "engine/evolve/teams.py"
DECIDING = "engine/decide/teams.py"
ESCALATING = "engine/decide/escalating.py"
TESTS = "tests/engine/test_teams.py::"
WORK = "tests/engine/test_team_work.py::"

MUTANTS = (
    Mutant(
        "what a team was given goes to anybody",
        SEATS,
        "    return (*spec.capabilities, team_word(team)), spec.agent_type, None\n",
        "    return spec.capabilities, spec.agent_type, None\n",
        TESTS + "test_a_task_goes_to_the_team_of_its_domain_with_figures_and_to_nobody_outside_it",
    ),
    Mutant(
        "the team that suits a task least gets it",
        CHOOSING,
        "key=lambda fit: -fit.score_bp",
        "key=lambda fit: fit.score_bp",
        TESTS + "test_a_task_goes_to_the_team_of_its_domain_with_figures_and_to_nobody_outside_it",
    ),
    Mutant(
        "a lead that is gone keeps its seat",
        FOLDS,
        "    if teams.teams[team].lead == agent:\n        seating.vacant[team] = None\n",
        "    if teams.teams[team].lead == agent:\n        pass\n",
        TESTS + "test_when_a_lead_is_ended_the_best_of_its_team_takes_over_and_its_work_goes_on",
    ),
    Mutant(
        "what nobody in a team can do any more waits there",
        FOLDS,
        "                    state.seating.due[name] = None\n",
        "                    pass\n",
        TESTS + "test_when_the_last_one_able_leaves_a_team_what_waits_there_goes_to_another",
    ),
    Mutant(
        "whoever leads has no room for work",
        "engine/places.py",
        "        held -= led_by(state, agent)\n",
        "        held -= 0\n",
        TESTS + "test_whoever_leads_has_room_for_work_of_its_own",
    ),
    Mutant(
        "a span of control is not held",
        DECIDING,
        "    if len(team.members) >= team.span:\n",
        "    if len(team.members) > team.span:\n",
        TESTS + "test_more_than_may_report_to_a_lead_or_to_the_manager_are_refused",
    ),
    Mutant(
        "a team escalates without a record",
        CHOOSING,
        "    return len(recent) >= ATTEMPTS_MIN and ",
        "    return ",
        TESTS
        + "test_a_team_that_succeeds_too_seldom_comes_before_the_manager_once_with_its_figures",
    ),
    Mutant(
        "a team has only what the manager gave it",
        SEATS,
        "    team = state.teams.delegated.get(spec.id) or asked_team(spec)\n",
        "    team = state.teams.delegated.get(spec.id)\n",
        WORK + "test_an_overdue_task_that_asks_for_a_seat_is_told_of_once_and_goes_on",
    ),
    Mutant(
        "what waits for a team stays there when its last circuit opens",
        "engine/evolve/circuits.py",
        "        teams.circuit_opened(state, event.circuit.removeprefix(circuits.AGENT))\n",
        "        pass\n",
        WORK + "test_what_waits_for_a_team_goes_to_another_when_its_last_circuit_opens",
    ),
    Mutant(
        "all that one decision moves is weighed as if it were alone",
        "engine/decide/escalating.py",
        "more[other] = more.get(other, 0) + 1",
        "pass",
        WORK + "test_what_waits_for_a_team_that_fails_too_often_is_shared_among_the_others",
    ),
    Mutant(
        "whoever is held by an open circuit counts as able",
        CHOOSING,
        "    able = [agent for agent in able if not _is_held(state, agent)]\n",
        "",
        WORK + "test_a_team_all_held_by_open_circuits_gets_nothing_that_another_could_do",
    ),
    Mutant(
        "the lead's type counts as one of its workers'",
        CHOOSING,
        " if agent.spec.id != lead]\n",
        "]\n",
        WORK + "test_a_worker_more_is_of_a_type_that_its_workers_are_and_never_of_its_leads_alone",
    ),
    Mutant(
        "a task comes before the manager again and again",
        FOLDS,
        "        state.teams.escalated[event.task] = None\n",
        "        pass\n",
        TESTS + "test_a_task_beyond_twice_its_estimate_goes_to_another_team_once",
    ),
)
