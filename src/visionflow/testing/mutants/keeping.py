"""Mutants of workers that outlive their orchestrator: who is kept, believed, and given what."""

from visionflow.testing.mutants.mutant import Mutant

ENGINE = "tests/engine/test_adoption.py::"
NODE = "tests/runtime/test_adopting.py::"

MUTANTS = (
    Mutant(
        "whoever knows a worker's name is adopted",
        "runtime/adoption.py",
        "return compare_digest(hash_of(secret), secret_hash)",
        "return True",
        NODE + "test_who_does_not_know_the_secret_is_refused_and_the_real_one_is_awaited_still",
    ),
    Mutant(
        "the log has the secrets of workers",
        "runtime/adoption.py",
        "return sha256(secret.encode()).hexdigest()",
        "return secret",
        NODE + "test_the_log_has_a_hash_of_the_secret_and_not_the_secret",
    ),
    Mutant(
        "what was kept is ended after all",
        "engine/decide/fleet.py",
        "if worker.status in LIVE and worker.id not in taken_up.kept:",
        "if worker.status in LIVE:",
        ENGINE + "test_an_attempt_goes_on_in_a_worker_that_is_kept_and_ends_in_one_that_is_not",
    ),
    Mutant(
        "a process that could not show who it is is kept",
        "engine/decide/adopting.py",
        "if name in secrets and name in workers and workers[name].status in LIVE",
        "if name in workers and workers[name].status in LIVE",
        ENGINE + "test_a_process_without_a_secret_on_record_is_not_kept",
    ),
    Mutant(
        "a worker that is not back yet is told things",
        "engine/effects.py",
        "if worker.status is WorkerStatus.JOINED and worker.id not in state.supervised.awaited:",
        "if worker.status is WorkerStatus.JOINED:",
        ENGINE + "test_a_cancelled_task_is_told_to_stop_when_its_worker_is_back",
    ),
    Mutant(
        "what was assigned and never came counts as lost",
        "engine/decide/adopting.py",
        "if state.tasks[task].status is TaskStatus.RUNNING and (task, attempt) not in held:",
        "if (task, attempt) not in held:",
        ENGINE
        + "test_what_ran_and_is_not_there_any_more_is_lost_and_what_was_assigned_is_delivered",
    ),
    Mutant(
        "an attempt runs out of time while nobody is there to be told of its end",
        "engine/evolve/adopting.py",
        "state.clocks.restart(state.agents[agent].open, state.now_ms)",
        "pass",
        ENGINE + "test_the_clock_of_an_attempt_stands_still_until_its_worker_is_back",
    ),
    Mutant(
        "one that was told to end and hands in what it has counts as crashed",
        "runtime/sessions.py",
        """        if hello.leaving:
            self._children.expect_end(worker)
""",
        "",
        NODE + "test_one_that_was_told_to_end_hands_in_what_it_has_and_its_end_is_no_fault",
    ),
    Mutant(
        "one of another version is believed to understand",
        "runtime/sessions.py",
        "if hello.protocol != m.PROTOCOL:",
        "if False:",
        NODE + "test_one_of_another_version_is_told_so_and_replaced",
    ),
    Mutant(
        "what ended while nobody was there is not said to be held",
        "worker/session.py",
        "return (*self._executor.held(), *kept, *_ends(tuple(self._out)))",
        "return (*self._executor.held(), *kept)",
        "tests/worker/test_session.py::"
        "test_what_ends_while_nobody_is_there_is_reported_at_the_next_welcome",
    ),
)
