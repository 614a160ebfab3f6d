"""Mutants of waiting for those who ask for patience: from the worker to the fold."""

from visionflow.testing.mutants.mutant import Mutant

TESTS = "tests/engine/test_throttles.py::"

MUTANTS = (
    Mutant(
        "a throttle counts as a failure",
        "engine/evolve/tasks.py",
        "        state.throttles[event.task] = state.throttles.get(event.task, 0) + 1\n",
        "        state.throttles[event.task] = state.throttles.get(event.task, 0) + 1\n"
        "        _count(task, agent, event.kind)\n",
        TESTS + "test_throttles_count_neither_towards_the_attempts_nor_against_the_agent",
    ),
    Mutant(
        "a throttle's wait is ignored",
        "engine/decide/attempts.py",
        "return None, now_ms + throttle_ms(asked_ms, entropy)",
        "return None, now_ms + wait_ms(policy, 1, entropy)",
        TESTS + "test_a_throttled_attempt_is_tried_again_when_asked_and_its_wait_is_one_event",
    ),
    Mutant(
        "no bound on waits",
        "engine/decide/tasks.py",
        "throttled >= THROTTLES_PER_TASK_MAX",
        "throttled >= 10**9",
        TESTS + "test_the_bound_on_waits_makes_an_ordinary_failure_of_the_next_one",
    ),
    Mutant(
        "a throttle waits as long as anybody says",
        "engine/decide/attempts.py",
        "// 10_000, THROTTLE_MS_MAX)",
        "// 10_000, 10**15)",
        TESTS + "test_a_wait_is_never_shorter_than_asked_nor_longer_than_its_bound",
    ),
    Mutant(
        "all who were turned away come back at once",
        "engine/decide/attempts.py",
        "asked_ms + asked_ms * (entropy % 1_001) // 10_000",
        "asked_ms",
        TESTS + "test_two_that_are_turned_away_together_come_back_apart",
    ),
    Mutant(
        "a finished step does not reset the count of waits",
        "engine/evolve/tasks.py",
        "    state.throttles.pop(event.task, None)\n    task.crashes",
        "    task.crashes",
        TESTS + "test_a_finished_step_begins_the_count_of_waits_anew",
    ),
    Mutant(
        "a worker reports whoever asks for patience as broken",
        "worker/attempt.py",
        "if isinstance(error, TryLater):",
        "if isinstance(error, TimeoutError):",
        "tests/worker/test_executor.py::"
        "test_what_an_agent_raises_is_reported_by_kind[throttled-async]",
    ),
    Mutant(
        "the wait is lost between the worker's message and the command",
        "runtime/sessions.py",
        "                wait_ms=message.wait_ms,\n",
        "",
        "tests/runtime/test_sessions.py::"
        "test_how_long_a_throttled_attempt_is_to_wait_arrives_in_the_log",
    ),
    Mutant(
        "whoever is asked for patience asks again at once",
        "engine/decide/attempts.py",
        "return None, now_ms + throttle_ms(asked_ms, entropy)",
        "return None, now_ms",
        "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean[20]",
    ),
    Mutant(
        "a throttled attempt is judged by the retry policy",
        "engine/decide/attempts.py",
        "if kind is FailureKind.THROTTLED:",
        "if kind is FailureKind.THROTTLED and entropy < 0:",
        "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean[20]",
    ),
    Mutant(
        "what is left of an attempt shrinks while the machine sleeps",
        "worker/attempt.py",
        "            left_ms=self.left_ms,\n",
        "",
        "tests/worker/test_executor.py::"
        "test_what_is_left_of_an_attempt_does_not_shrink_while_the_machine_sleeps",
    ),
)
