"""Mutants of the ledger of outside effects: from the worker to the fold."""

from visionflow.testing.mutants.mutant import Mutant

ENGINE = "tests/engine/test_outside.py::"
WORKER = "tests/worker/test_attempt_effects.py::"
SEEDS = "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean[60]"

MUTANTS = (
    Mutant(
        "an effect is settled before it is done",
        "worker/outside.py",
        "        self._begun[key] = None\n        try:\n",
        "        self._begun[key] = None\n"
        "        await self._tell(asked, EffectOutcome.HAPPENED)\n        try:\n",
        WORKER + "test_it_is_reserved_before_it_runs_and_settled_before_it_returns",
    ),
    Mutant(
        "the simulator sees an effect that is settled before it is done",
        "worker/outside.py",
        "        self._begun[key] = None\n        try:\n",
        "        self._begun[key] = None\n"
        "        await self._tell(asked, EffectOutcome.HAPPENED)\n        try:\n",
        SEEDS,
    ),
    Mutant(
        "what is in doubt is repeated",
        "engine/decide/outside.py",
        "    if not certain:\n",
        "    if not certain and command.now_ms < 0:\n",
        ENGINE
        + "test_one_of_which_nobody_can_know_is_in_doubt_and_blocks_its_task_without_a_failure",
    ),
    Mutant(
        "the simulator sees what is in doubt repeated",
        "engine/decide/outside.py",
        "    if not certain:\n",
        "    if not certain and command.now_ms < 0:\n",
        SEEDS,
    ),
    Mutant(
        "an effect that was begun is carried out without a look",
        "worker/outside.py",
        "        if order.kind is not EffectClass.PROBEABLE:\n            self._say",
        "        if order.kind is not EffectClass.IN_DOUBT:\n            self._say",
        WORKER + "test_what_can_be_looked_for_is_looked_for_after_a_crash[found0-0-seen]",
    ),
    Mutant(
        "the simulator sees an effect carried out without a look",
        "worker/outside.py",
        "        if order.kind is not EffectClass.PROBEABLE:\n            self._say",
        "        if order.kind is not EffectClass.IN_DOUBT:\n            self._say",
        SEEDS,
    ),
    Mutant(
        "a stale attempt gets a reservation",
        "engine/decide/outside.py",
        "    if not current or cancelling or state.closed is not None:\n",
        "    if cancelling or state.closed is not None:\n",
        ENGINE + "test_a_stale_attempt_may_begin_nothing_and_the_refusal_is_on_record",
    ),
    Mutant(
        "a late report that it happened is dropped",
        "engine/decide/outside.py",
        "    if command.outcome is EffectOutcome.HAPPENED:\n",
        "    if command.outcome is EffectOutcome.HAPPENED and current:\n",
        ENGINE + "test_what_is_certain_is_recorded_also_of_a_stale_attempt_and_ends_the_doubt",
    ),
    Mutant(
        "whoever likes settles an effect",
        "engine/decide/outside.py",
        "    if (command.task, command.attempt) not in found.holders:\n",
        "    if not found.holders:\n",
        ENGINE + "test_who_never_held_an_effect_cannot_say_how_it_went",
    ),
    Mutant(
        "a stale attempt frees what another holds",
        "engine/decide/outside.py",
        "    own = found.task == command.task and found.attempt == command.attempt\n",
        "    own = found.task == command.task\n",
        ENGINE + "test_a_stale_attempt_cannot_say_that_what_another_holds_did_not_happen",
    ),
    Mutant(
        "other arguments are a way around a doubt",
        "engine/decide/outside.py",
        "        if in_the_way is not None:\n",
        "        if in_the_way is not None and command.now_ms < 0:\n",
        ENGINE + "test_other_arguments_in_the_place_of_one_that_was_begun_are_no_way_around_it",
    ),
    Mutant(
        "what a task leaves behind is forgotten",
        "engine/evolve/outside.py",
        "            outside.orphans[key] = None\n",
        "            del outside.effects[key]\n",
        ENGINE + "test_what_a_task_leaves_reserved_when_it_ends_is_in_doubt_in_the_same_record"
        "[idempotent]",
    ),
    Mutant(
        "a doubt counts as a failure",
        "engine/evolve/tasks.py",
        "    elif is_failure(event.kind, event.excused):\n",
        "    elif event.kind is not FailureKind.RECALLED:\n",
        ENGINE
        + "test_one_of_which_nobody_can_know_is_in_doubt_and_blocks_its_task_without_a_failure",
    ),
    Mutant(
        "each try of an agent has a key of its own",
        "worker/outside.py",
        "                self._unsettled.setdefault(same, []).append(ordinal)\n",
        "                pass\n",
        WORKER
        + "test_an_agents_own_loop_of_tries_stays_with_one_key_and_a_second_effect_has_another",
    ),
    Mutant(
        "an attempt that left an effect in the middle begins it again",
        "worker/outside.py",
        "                key in self._begun,\n",
        "                False,\n",
        WORKER + "test_one_that_was_left_in_the_middle_is_not_begun_again_by_the_same_attempt",
    ),
    Mutant(
        "the answer to a reservation leaves without it",
        "runtime/outside.py",
        "    control.offer(command, answered, bounded=False)\n",
        "    from visionflow.engine.decide.outside import reserve\n"
        "    if isinstance(command, oc.ReserveEffect):\n"
        "        try:\n"
        "            answered(reserve(control.state, command)[1])\n"
        "        except Exception:\n"
        "            pass\n"
        "    control.offer(command, answered, bounded=False)\n",
        SEEDS,
    ),
)
