"""Mutants of what tools do for a caller: draining, counts, changes that are made once."""

from visionflow.testing.mutants.mutant import Mutant

DRAINING = "tests/engine/test_draining.py::"
TALLY = "tests/runtime/test_tally.py::test_it_agrees_after_any_sequence_of_events"
SPAWNING = "tests/serve/test_agent_spawning.py::"
AGENTS = "tests/serve/test_agent_tools.py::"

MUTANTS = (
    Mutant(
        "a draining agent gets tasks",
        "engine/evolve/table.py",
        "agent in state.draining or agent in state.updating or agent in state.moving",
        "agent in state.updating or agent in state.moving",
        DRAINING + "test_a_draining_agent_finishes_what_it_holds_and_gets_nothing_more",
    ),
    Mutant(
        "a draining agent ends with the tasks that it holds",
        "engine/decide/draining.py",
        "for name in state.draining if not state.agents[name].open]",
        "for name in state.draining if state.agents[name].open]",
        DRAINING + "test_a_draining_agent_finishes_what_it_holds_and_gets_nothing_more",
    ),
    Mutant(
        "draining is forgotten in a replay",
        "engine/evolve/fleet.py",
        "    state.draining[event.agent] = None\n",
        "    if event.command is not None:\n        state.draining[event.agent] = None\n",
        DRAINING + "test_draining_survives_a_crash_and_a_replay",
    ),
    Mutant(
        "a task that is queued anew keeps its old place among those that wait",
        "runtime/tally.py",
        "if before == after and self._queued.get(name, task.changed_ms) == task.changed_ms:",
        "if before == after:",
        "tests/runtime/test_tally.py::"
        "test_a_task_that_is_queued_anew_within_one_record_waits_from_then_on",
    ),
    Mutant(
        "what left the queue still counts for its priority",
        "runtime/tally.py",
        "            self.priorities[priority] -= 1\n",
        "",
        TALLY,
    ),
    Mutant(
        "a cut connection cuts off the change that it asked for",
        "interfaces/tools/recording.py",
        "return await asyncio.shield(found), first",
        "return await found, first",
        AGENTS + "test_a_call_whose_client_is_gone_is_done_to_the_end_and_its_retry_finds_it",
    ),
    Mutant(
        "a key counts for every caller",
        "interfaces/tools/recording.py",
        "name, key = _word(call.caller.name), _word(call.key)",
        'name, key = "anybody", _word(call.key)',
        AGENTS + "test_a_call_that_comes_again_under_its_key_is_one_call",
    ),
    Mutant(
        "a retry that names no swarm spawns into the latest one",
        "interfaces/tools/spawning.py",
        "given = swarm if earlier is None else earlier.id",
        "given = swarm",
        AGENTS + "test_a_call_that_comes_again_under_its_key_is_one_call",
    ),
    Mutant(
        "what nothing backs is offered all the same",
        "interfaces/tools/casting.py",
        "kept = tuple(word for word in asked if word in backed)",
        "kept = asked",
        SPAWNING + "test_capabilities_are_those_that_were_asked_for_and_that_the_class_backs",
    ),
    Mutant(
        "the server's limit is looked at without counting those on their way",
        "interfaces/tools/spawning.py",
        "return await server.swarms.spawning(1, ask)",
        "return await ask()",
        SPAWNING + "test_the_servers_limit_holds_over_all_swarms",
    ),
    Mutant(
        "a process that the kernel killed at its ceiling was killed by somebody",
        "runtime/children.py",
        "if over is not None and over(child.process.pid):",
        "if False and over is not None and over(child.process.pid):",
        SPAWNING + "test_a_memory_hog_is_stopped_at_its_limit_and_told_as_such",
    ),
)
