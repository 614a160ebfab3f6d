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
        "a worker answers for another",
        "runtime/syncing.py",
        "        if found is not None and found[0] == worker and not found[1].done():\n",
        "        if found is not None and not found[1].done():\n",
        "tests/runtime/test_syncing.py::test_nobody_answers_for_another",
    ),
)
