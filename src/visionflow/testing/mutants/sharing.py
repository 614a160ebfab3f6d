"""Mutants of sharing the load: recalls, stealing, batches, and the numbers of agents."""

from visionflow.testing.mutants.mutant import Mutant

RECALL = "tests/engine/test_recall.py::"
SCALING = "tests/engine/test_scaling.py::"
WORKER = "tests/worker/test_batches.py::"

MUTANTS = (
    Mutant(
        "what comes back counts as a failure",
        "engine/evolve/tasks.py",
        "elif is_failure(event.kind, event.excused):",
        "elif event.kind is not FailureKind.IN_DOUBT:",
        RECALL + "test_what_comes_back_is_given_to_whoever_has_room_and_counts_as_nothing",
    ),
    Mutant(
        "a worker may give back what nobody asked for, for ever",
        "engine/decide/tasks.py",
        "kind is FailureKind.RECALLED and command.task not in state.supervised.recalling",
        "False",
        RECALL + "test_one_that_comes_back_unasked_counts_against_its_task_so_that_it_ends",
    ),
    Mutant(
        "what has begun is asked back too",
        "engine/decide/balancing.py",
        "if task.status is TaskStatus.RUNNING and task.attempt == attempt:",
        "if False:",
        RECALL + "test_one_that_has_begun_stays_where_it_is_and_the_recall_is_forgotten",
    ),
    Mutant(
        "a recall is forgotten at a restart",
        "engine/effects.py",
        "kind = Recall if state.supervised.recalling.get(task) == attempt else Deliver",
        "kind = Deliver",
        RECALL + "test_its_recall_is_outstanding_in_the_place_of_its_delivery_until_it_is_answered",
    ),
    Mutant(
        "what has begun in a worker is given back",
        "worker/executor.py",
        "if found is not None and found[1].withdraw(attempt):",
        "if found is not None and (found[1].withdraw(attempt) or True):",
        WORKER + "test_what_waits_is_given_back_and_what_has_begun_says_so",
    ),
    Mutant(
        "what was given back before it came runs when it comes",
        "worker/executor.py",
        "                self._remember(task, number)\n"
        "                self.send(Failed(task, number, FailureKind.RECALLED",
        "                self.send(Failed(task, number, FailureKind.RECALLED",
        WORKER + "test_one_that_never_came_is_given_back_and_does_not_run_when_it_comes",
    ),
    Mutant(
        "tasks are stolen for whoever would not be given them",
        "engine/balancing.py",
        "        if level <= again:\n            return None\n",
        "",
        RECALL + "test_nothing_is_asked_back_for_an_agent_to_which_it_would_not_go",
    ),
    Mutant(
        "what waits is asked back at once",
        "engine/balancing.py",
        "if now_ms - task.changed_ms >= STEAL_WAIT_MS:",
        "if now_ms - task.changed_ms >= 0:",
        RECALL
        + "test_the_tail_of_an_agent_is_asked_back_once_it_waited_and_another_has_nothing_to_do",
    ),
    Mutant(
        "a batch is given whatever waits",
        "engine/evolve/table.py",
        "return all(state.tasks[name].spec.type in types for name in agent.open)",
        "return True",
        RECALL + "test_one_of_another_type_ends_what_it_is_given_ahead",
    ),
    Mutant(
        "what failed shares a batch again",
        "worker/batches.py",
        "return known and not attempt.dispatch.alone and not attempt.dispatch.suspect",
        "return known",
        WORKER + "test_other_types_and_what_is_to_stand_alone_go_one_by_one",
    ),
    Mutant(
        "the cool-down is not kept",
        "engine/scaling.py",
        "(quiet_ms is not None and quiet_ms < rules.cool_down_ms)",
        "False",
        SCALING + "test_within_the_cool_down_nothing_changes_whatever_the_load_does",
    ),
    Mutant(
        "agents that clients spawned are ended as well",
        "engine/scaling.py",
        "after = max(bounds.least, needed, load.agents - load.removable)",
        "after = max(bounds.least, needed)",
        SCALING + "test_only_those_made_for_the_number_go_and_nothing_goes_that_was_not_watched",
    ),
    Mutant(
        "only the type's maximum bounds its number",
        "engine/scaling.py",
        "if room.count < bound.count:",
        "if room.count < 0:",
        SCALING + "test_what_bounds_the_number_is_told",
    ),
)
