"""Mutants of supervision: restarts, recovery by cause, recycling, and a swarm that is degraded."""

from visionflow.testing.mutants.mutant import Mutant

TREE = "tests/engine/test_supervision_tree.py::"
RESTARTS = "tests/engine/test_restarting.py::"
CAUSES = "tests/engine/test_recovery_by_cause.py::"
RECYCLING = "tests/engine/test_recycling.py::"
WORDS = "tests/engine/test_diagnosis.py::"
FIGURES = "tests/runtime/test_figures.py::"

MUTANTS = (
    Mutant(
        "what supervision mended counts against the task",
        "engine/evolve/tasks.py",
        "        if not event.excused:\n",
        "        if event is not None:\n",
        CAUSES + "test_an_attempt_that_says_first_that_memory_ran_out_raises_the_ceiling_once",
    ),
    Mutant(
        "what supervision ended on purpose is in the swarm's count of failures",
        "domain/tasks.py",
        "kind not in NO_FAILURES and not (excused and kind in WENT_AWAY)",
        "kind not in NO_FAILURES",
        FIGURES + "test_what_an_orderly_end_interrupts_is_no_error_of_anybody",
    ),
    Mutant(
        "a restarted agent is given tasks before it is built",
        "engine/evolve/table.py",
        "if worker in sup.recycling or worker in sup.restarting:",
        "if worker in sup.restarting:",
        RECYCLING + "test_tasks_that_only_a_recycled_agent_can_do_wait_for_its_next_process",
    ),
    Mutant(
        "a process is replaced while its agents work",
        "engine/decide/recycling.py",
        "return not any(state.agents[name].open for name in state.workers[worker].agents)",
        "return worker in state.workers",
        RECYCLING + "test_a_process_is_drained_then_replaced_while_others_take_the_work",
    ),
    Mutant(
        "one for all restarts only those that were started later",
        "engine/decide/supervising.py",
        "after = strategy is RestartStrategy.ONE_FOR_ALL",
        "after = False",
        TREE + "test_the_strategy_says_who_is_started_again_beside_the_one_that_died",
    ),
    Mutant(
        "a swarm bears one death more than it is said to",
        "engine/decide/supervising.py",
        "if len(recent) < supervision.restarts_max:",
        "if len(recent) <= supervision.restarts_max:",
        TREE + "test_more_deaths_than_the_swarm_bears_degrade_it_until_all_are_started_by_hand",
    ),
    Mutant(
        "a degraded swarm calls itself whole at once",
        "engine/decide/supervising.py",
        "if sup.degraded is None or sup.given_up or state.closed is not None:",
        "if sup.degraded is None or state.closed is not None:",
        TREE + "test_more_deaths_than_the_swarm_bears_degrade_it_until_all_are_started_by_hand",
    ),
    Mutant(
        "after a timeout the next attempt has no more time",
        "engine/evolve/tasks.py",
        "state.supervised.timeouts[event.task] = event.timeout_ms",
        "pass",
        CAUSES
        + "test_after_a_timeout_the_next_attempt_has_half_as_much_time_again_and_the_log_says_so",
    ),
    Mutant(
        "a ceiling that was raised for an attempt is raised again for its process",
        "engine/decide/workers.py",
        "if not (exhausted or wanted) or exhausted_before(state, worker):",
        "if not (exhausted or wanted):",
        CAUSES + "test_an_attempt_that_says_first_that_memory_ran_out_raises_the_ceiling_once",
    ),
    Mutant(
        "deaths that were answered with more memory are held against the agent",
        "engine/decide/workers.py",
        "return FailureKind.KILLED if exhausted or ceiling is not None else None",
        "return FailureKind.KILLED if exhausted else None",
        CAUSES + "test_deaths_that_were_answered_with_more_memory_are_not_held_against_the_agent",
    ),
    Mutant(
        "a configuration is changed although the strategy does not say so",
        "engine/decide/building.py",
        "if found is None or found.key is None or not agent.spec.recovery.mends_config:",
        "if found is None or found.key is None:",
        WORDS + "test_where_it_may_not_the_fault_is_named_and_nothing_is_changed",
    ),
)
