"""Mutants of circuits, locks, waits and deadlocks."""

from visionflow.testing.mutants.mutant import Mutant

TESTS = "tests/engine/"
LOCKS, CIRCUITS, DELEGATING, LEADS, PEERS = (
    TESTS + f"test_{name}.py::"
    for name in ("locks", "circuits", "delegating", "waits_of_leads", "held_peers")
)
RANGE = "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean[20]"

MUTANTS = (
    Mutant(
        "whoever gets nothing now bids in a mesh as one with room",
        "engine/decide/auctions.py",
        " or is_held(state, name):",
        ":",
        PEERS + "test_who_gets_nothing_now_is_asked_for_no_bid",
    ),
    Mutant(
        "rings of three and more are not seen",
        "engine/decide/deadlocks.py",
        "        if not waiting:\n            return\n",
        "        if not waiting or len(ring) > 2:\n            return\n",
        RANGE,
    ),
    Mutant(
        "of a deadlock the oldest attempt is ended",
        "engine/decide/deadlocks.py",
        "broken = max(waiting,",
        "broken = min(waiting,",
        LOCKS + "test_two_with_locks_in_opposite_order_are_a_deadlock_and_the_younger_one_is_ended",
    ),
    Mutant(
        "who stood in a deadlock is tried again at once",
        "engine/decide/attempts.py",
        "return None, now_ms + deadlock_backoff_ms(task.kills, entropy)",
        "return None, now_ms",
        LOCKS + "test_two_with_locks_in_opposite_order_are_a_deadlock_and_the_younger_one_is_ended",
    ),
    Mutant(
        "a queued task holds nobody up",
        "engine/waits.py",
        "return Need(places=tuple(found))",
        "return None",
        DELEGATING + "test_a_sub_task_that_only_its_waiting_agent_could_do_is_a_deadlock",
    ),
    Mutant(
        "who leads does not keep its process from being replaced",
        "engine/waits.py",
        "tuple(task for task in held if self.waiting(task))",
        "tuple(t for t in held if not is_leading(self._state.tasks[t].spec.type))",
        LEADS
        + "test_a_lead_that_waits_for_what_only_it_can_do_does_not_hold_up_its_own_replacement",
    ),
    Mutant(
        "who is on its way out may wait for ever for what only it could do",
        "engine/waits.py",
        "found = places or leaving",
        "found = places",
        LEADS
        + "test_a_drain_ends_though_what_is_held_waits_for_what_only_the_drained_agent_could_do",
    ),
    Mutant(
        "a lock goes to whoever came last",
        "engine/decide/waiting.py",
        "state.supervised.locks[name].queue[0]",
        "state.supervised.locks[name].queue[-1]",
        LOCKS + "test_a_lock_has_one_holder_and_the_others_get_it_in_the_order_in_which_they_came",
    ),
    Mutant(
        "an attempt that ends keeps its locks",
        "engine/evolve/waiting.py",
        "        _leave(state, lock, task)\n    for on in",
        "        pass\n    for on in",
        LOCKS + "test_an_attempt_that_ends_in_any_way_lets_go_of_all_it_held_and_waited_for",
    ),
    Mutant(
        "a stale attempt gets a lock",
        "engine/decide/waiting.py",
        "command.attempt, command.number\n    _fresh(state, task, attempt)\n",
        "command.attempt, command.number\n",
        LOCKS + "test_a_stale_attempt_gets_no_lock_and_gives_none_back",
    ),
    Mutant(
        "a lock is given back by a request of before",
        "engine/decide/waiting.py",
        "    if place != entry:\n",
        "    if place is None or entry[0] == '':\n",
        LOCKS + "test_a_request_that_comes_again_changes_nothing_and_what_was_given_back_stays_so",
    ),
    Mutant(
        "an old grant passes for the one that is waited for",
        "worker/asking.py",
        'return f"\\0lock {answer.number}"',
        'return f"\\0lock {answer.number + 1}"',
        "tests/worker/test_asking.py::"
        "test_a_lock_is_held_from_its_grant_on_and_given_back_by_its_number",
    ),
    Mutant(
        "what is asked is not asked again over the next connection",
        "worker/attempt.py",
        "return [] if self._answers is None else [done for done, _ in self._answers.values()]",
        "return []",
        "tests/worker/test_asking.py::"
        "test_what_is_not_answered_is_asked_again_over_the_next_connection",
    ),
    Mutant(
        "a lock is granted before the log holds it",
        "runtime/asks.py",
        "        self._control.offer(command, answered, bounded=False)\n\n    def _is_held",
        "        self._send(worker, _lock_answer(place))\n"
        "        self._control.offer(command, answered, bounded=False)\n\n    def _is_held",
        "tests/runtime/test_asks.py::"
        "test_a_lock_is_granted_when_that_is_in_the_log_and_the_next_when_it_was_given_back",
    ),
    Mutant(
        "results that somebody has yet to hear are forgotten",
        "engine/evolve/tasks.py",
        "if name in state.awaiters or (by is not None and _alive(state, by)):",
        "if name == '':",
        DELEGATING + "test_results_are_kept_while_the_task_that_delegated_lives_and_leave_then",
    ),
    Mutant(
        "an open circuit never lets anybody try",
        "engine/circuits.py",
        "        if circuit.status is OPEN and circuit.until_ms <= now_ms\n",
        "        if circuit.status is OPEN and circuit.until_ms <= 0\n",
        CIRCUITS + "test_tasks_of_an_agent_alone_wait_for_its_circuit_and_one_of_them_tries_it",
    ),
    Mutant(
        "all may try while a circuit is half open",
        "engine/circuits.py",
        "return circuit.status is OPEN or is_busy",
        "return circuit.status is OPEN",
        CIRCUITS + "test_tasks_of_an_agent_alone_wait_for_its_circuit_and_one_of_them_tries_it",
    ),
    Mutant(
        "failures are counted and not in a row",
        "engine/decide/tasks.py",
        "        closing.praise(task.agent)\n",
        "        pass\n",
        CIRCUITS + "test_a_success_in_between_counts_anew",
    ),
    Mutant(
        "an agent is to blame for what it called",
        "engine/decide/tasks.py",
        "    if (command.circuit or command.shared) and task.agent is not None:\n",
        "    if command.shared and task.agent is not None:\n",
        CIRCUITS + "test_a_failure_of_what_an_agent_called_through_its_circuit_is_not_the_agents",
    ),
    Mutant(
        "a batch that fails is as many failures of its agent as it had tasks",
        "engine/decide/tasks.py",
        "    if (command.circuit or command.shared) and task.agent is not None:\n",
        "    if command.circuit and task.agent is not None:\n",
        CIRCUITS + "test_a_batch_that_failed_as_a_whole_is_one_failure_of_its_agent",
    ),
)
