"""Mutants of the adaptive topology: its figures, its triggers, and what a switch leaves alone."""

from visionflow.testing.mutants.mutant import Mutant

ADAPTIVE = "engine/topology/adaptive.py"
TESTS = "tests/engine/test_adaptive.py::"
MAKESPAN = "tests/engine/test_makespan.py::"

MUTANTS = (
    Mutant(
        "a switch for a twentieth is worth it",
        ADAPTIVE,
        "    return found.gain_bp >= GAIN_BP_MIN and own_ms >= MAKESPAN_MS_MIN\n",
        "    return found.gain_bp >= 500 and own_ms >= MAKESPAN_MS_MIN\n",
        TESTS + "test_a_gain_of_a_seventh_is_told_and_switches_nothing",
    ),
    Mutant(
        "the cool-down is for nothing",
        ADAPTIVE,
        "        and now_ms >= shape.cooled_ms\n",
        "",
        TESTS + "test_nothing_is_switched_again_within_the_cool_down",
    ),
    Mutant(
        "less to do is taken for a loss",
        ADAPTIVE,
        "    return max(now, state.live * 10_000) >= then * COMPARABLE_BP // 10_000\n",
        "    return max(now, state.live * 10_000) >= 0\n",
        TESTS + "test_less_to_do_is_not_taken_for_a_loss",
    ),
    Mutant(
        "what waited for its stage waits on",
        "engine/decide/shape.py",
        "            closing.open_phase(replace(phase, stages=()))\n",
        "            closing.open_phase(phase)\n",
        TESTS + "test_it_leaves_stages_behind_once_what_is_left_would_take_a_fifth_less",
    ),
    Mutant(
        "load counts as delay",
        "engine/evolve/tasks.py",
        "        since_ms = max(task.changed_ms, totals.idle.get(event.agent, 0))\n",
        "        since_ms = task.changed_ms\n",
        TESTS + "test_a_delay_is_what_a_task_waits_while_its_agent_has_room",
    ),
    Mutant(
        "a schedule does not wait for what comes before",
        "engine/topology/makespan.py",
        "            if not waits[then]:\n",
        "            if waits[then] >= 0:\n",
        MAKESPAN + "test_a_list_schedule_lies_between_the_lower_bound_and_grahams",
    ),
    Mutant(
        "a topology that was never tried is free of failures",
        ADAPTIVE,
        "    return (under.failed * 10_000 + PRIOR * own_bp) // (ended(under) + PRIOR)\n",
        "    return under.failed * 10_000 // max(1, ended(under))\n",
        TESTS + "test_failures_that_are_the_tasks_own_speak_for_no_topology",
    ),
    Mutant(
        "what is under way is no work done",
        ADAPTIVE,
        "    did_us = since.work_us + _under_way_us(state, since, now_ms)\n",
        "    did_us = since.work_us\n",
        TESTS + "test_tasks_that_take_ten_times_as_long_as_those_of_before_are_no_loss",
    ),
    Mutant(
        "a wait for a circuit is a delay",
        "engine/evolve/tasks.py",
        "    able_ms = max(totals.room.get(agent, state.now_ms), state.shape.since_ms)\n",
        "    able_ms = state.shape.since_ms\n",
        TESTS + "test_a_wait_for_an_open_circuit_is_no_delay_of_the_topology",
    ),
    Mutant(
        "what a team has goes to whoever is idle",
        "engine/topology/makespan.py",
        "        if node.team is not None and node.team in choices:\n",
        "        if node.team is None and node.team in choices:\n",
        MAKESPAN + "test_what_a_team_was_given_is_done_there_however_idle_the_others_are",
    ),
    Mutant(
        "a worker answers for another",
        "runtime/syncing.py",
        "        if found is not None and found[0] == worker and not found[1].done():\n",
        "        if found is not None and not found[1].done():\n",
        "tests/runtime/test_syncing.py::test_nobody_answers_for_another",
    ),
)
