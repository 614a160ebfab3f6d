"""Mutants of what changes while it lives: agents, limits, plans that are held, widths."""

from visionflow.testing.mutants.mutant import Mutant

UPDATES = "tests/engine/test_updating.py::"
HELD = "tests/engine/test_held_plans.py::"
RENEWAL = "tests/worker/test_renewal.py::"

MUTANTS = (
    Mutant(
        "an updated agent gets tasks before its worker has confirmed",
        "engine/evolve/table.py",
        "agent in state.draining or agent in state.updating or agent in state.moving",
        "agent in state.draining or agent in state.moving",
        UPDATES + "test_what_runs_goes_on_and_the_next_task_waits_for_the_new_version",
    ),
    Mutant(
        "an agent that is to move gets tasks",
        "engine/evolve/table.py",
        "agent in state.draining or agent in state.updating or agent in state.moving",
        "agent in state.draining or (agent in state.updating and agent not in state.moving)",
        UPDATES + "test_an_agent_moves_when_its_last_attempt_has_ended_and_gets_none_before",
    ),
    Mutant(
        "a version before that came up counts as the one that holds",
        "engine/decide/fleet.py",
        "agent.worker != command.worker or command.revision != state.revisions.get(name, 0):",
        "agent.worker != command.worker:",
        UPDATES + "test_what_a_worker_says_of_a_version_before_counts_for_nothing",
    ),
    Mutant(
        "a version before that could not be built fails the agent",
        "engine/decide/fleet.py",
        "    if command.revision != state.revisions.get(name, 0):\n        return []\n",
        "",
        UPDATES + "test_a_version_that_cannot_be_built_fails_the_agent_and_its_tasks_go_elsewhere",
    ),
    Mutant(
        "another memory ceiling moves nobody",
        "engine/decide/updating.py",
        "moves=name in state.moving or spec.limits != agent.spec.limits,",
        "moves=name in state.moving,",
        UPDATES + "test_another_memory_ceiling_moves_an_idle_agent_to_a_process_of_its_own",
    ),
    Mutant(
        "a process starts again with a ceiling that it is to have later",
        "engine/effects.py",
        "        if name in state.moving:\n            return state.moving[name]\n",
        "",
        UPDATES
        + "test_a_process_with_a_ceiling_is_replaced_and_starts_again_with_the_old_one_until_then",
    ),
    Mutant(
        "an agent is built while the process before it uses its folder",
        "engine/effects.py",
        "        if name not in state.departing:\n",
        "        if name:\n",
        UPDATES + "test_another_memory_ceiling_moves_an_idle_agent_to_a_process_of_its_own",
    ),
    Mutant(
        "the process before is not told to end an agent that moved",
        "engine/effects.py",
        "            if place == worker.id:\n",
        "            if place != worker.id:\n",
        UPDATES + "test_on_a_worker_with_others_only_the_agent_that_moved_is_ended",
    ),
    Mutant(
        "nobody builds an agent whose process before ended by itself",
        "runtime/effects.py",
        "            for agent in state.revisions:\n",
        "            for agent in state.updating and {}:\n",
        "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean[160]",
    ),
    Mutant(
        "an agent is built anew under its attempts",
        "worker/hosting.py",
        "if wanted is None or agent not in self._agents or not self._office.is_idle(agent):",
        "if wanted is None or agent not in self._agents:",
        RENEWAL + "test_what_runs_and_waits_in_it_ends_first_in_the_version_before",
    ),
    Mutant(
        "the end of the last attempt renews nothing",
        "worker/executor.py",
        "            self._hosting.renew(dispatch.agent)\n",
        "            pass\n",
        RENEWAL + "test_what_runs_and_waits_in_it_ends_first_in_the_version_before",
    ),
    Mutant(
        "a swarm may be allowed no agent at all",
        "engine/decide/updating.py",
        "    if command.agents_max < 1:\n",
        "    if command.agents_max < 0:\n",
        UPDATES + "test_the_number_of_agents_may_change_and_those_that_there_are_stay",
    ),
    Mutant(
        "a blocked plan opens its first phase",
        "engine/decide/tasks.py",
        "closed = blocked or index > 0 or 0 < turns <= place",
        "closed = index > 0 or 0 < turns <= place",
        HELD + "test_of_a_blocked_plan_nothing_runs_and_it_goes_on_when_it_is_unblocked",
    ),
    Mutant(
        "the end of a part opens a phase of a blocked plan",
        "engine/decide/closing.py",
        "        elif self._is_blocked(root):\n            return\n",
        "",
        HELD + "test_parts_that_end_while_their_plan_is_blocked_open_nothing",
    ),
    Mutant(
        "a task that is accepted blocked is queued",
        "engine/decide/tasks.py",
        "return [*events, e.TaskBlocked(task=spec.id, missing=command.blocked)]",
        "return events",
        HELD + "test_a_task_that_is_accepted_blocked_is_never_given_out_until_it_is_unblocked",
    ),
    Mutant(
        "the width of a phase does not bound it",
        "engine/phasing.py",
        "return going_on[: phase.turns] if phase.turns else going_on",
        "return going_on",
        HELD + "test_so_many_tasks_of_a_phase_are_under_way_at_once_and_no_more",
    ),
    Mutant(
        "the width of a phase bounds only its start",
        "engine/decide/closing.py",
        "elif current.is_bounded or current is not",
        "elif current.sequential or current is not",
        HELD + "test_so_many_tasks_of_a_phase_are_under_way_at_once_and_no_more",
    ),
)
