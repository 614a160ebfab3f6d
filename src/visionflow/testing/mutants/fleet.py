"""Mutants of the fleet's stream: swarms that are promised, shared memory, the audit."""

from visionflow.testing.mutants.mutant import Mutant

MACHINE = "tests/engine/test_fleet_machine.py::"
LOG = "tests/fleet/test_fleet_log.py::"
MEMORY = "tests/serve/test_memory_tools.py::"
VERDICT = "tests/fleet/test_audit_verdict.py::"

MUTANTS = (
    Mutant(
        "a swarm that is over is promised still",
        "engine/fleet.py",
        "was = state.swarms.pop(event.swarm, None)\n",
        "was = state.swarms.get(event.swarm)\n",
        LOG + "test_what_was_told_is_there_after_the_next_start",
    ),
    Mutant(
        "the id of a swarm that is over is given again",
        "engine/fleet.py",
        "if name in state.swarms or name in state.ended:",
        "if name in state.swarms:",
        MACHINE + "test_swarms_are_told_oldest_first_and_an_id_is_used_once",
    ),
    Mutant(
        "a repeated command of the fleet is done again",
        "engine/fleet.py",
        "        if known is not None:\n            return [], known\n",
        "        if known is not None and known.code is not None:\n            return [], known\n",
        MACHINE + "test_the_same_command_twice_is_done_once_and_answered_the_same",
    ),
    Mutant(
        "a value in the place of another counts beside it",
        "engine/fleet.py",
        "            _forget(state, (event.namespace, event.key))\n",
        "",
        MACHINE + "test_the_log_alone_says_which_swarms_and_keys_there_are",
    ),
    Mutant(
        "a key leaves at the time that an earlier value had",
        "engine/fleet.py",
        "        if kept is not None and kept.expires_ms == at_ms:\n            keys.append",
        "        if kept is not None:\n            keys.append",
        MACHINE + "test_a_key_is_due_at_its_time_and_not_before_and_a_later_value_counts",
    ),
    Mutant(
        "memory is bounded by number alone",
        "engine/fleet.py",
        "    if total > MEMORY_TOTAL_BYTES_MAX:\n",
        "    if total < 0:\n",
        MACHINE + "test_memory_has_bounds_and_a_value_may_be_replaced_at_them",
    ),
    Mutant(
        "a key is there until a tick has come",
        "runtime/fleet_reads.py",
        "if row is None or (row.expires_ms is not None and row.expires_ms <= now_ms):",
        "if row is None:",
        LOG + "test_a_value_expires_at_its_time_whether_a_tick_has_come_or_not",
    ),
    Mutant(
        "a stored value is not the record of its call",
        "runtime/fleet_rows.py",
        "                if event.face:\n",
        "                if not event.by:\n",
        MEMORY + "test_a_store_and_its_place_in_the_audit_are_one_record",
    ),
    Mutant(
        "a client that does not wait for its answers reads what was there before them",
        "interfaces/tools/memory.py",
        "        if call.caller.client in self._under_way:\n",
        "        if not call.caller.client:\n",
        MEMORY
        + "test_values_sent_one_after_the_other_without_waiting_share_commits_and_keep_their_order",
    ),
    Mutant(
        "rows of another log are taken for this one's",
        "runtime/fleet_reads.py",
        "            views.clear()\n",
        "            pass\n",
        LOG + "test_views_may_be_deleted_damaged_or_of_another_log",
    ),
    Mutant(
        "each refusal is a record",
        "runtime/fleet_refusals.py",
        "        first = known is None and kind != OTHERS\n",
        "        first = True\n",
        LOG + "test_a_flood_of_refusals_is_one_record_a_second_and_every_one_is_counted",
    ),
    Mutant(
        "kinds of refusals are not bounded",
        "runtime/fleet_refusals.py",
        "if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:",
        "if not kind:",
        LOG + "test_a_flood_of_different_refusals_is_bounded_too",
    ),
    Mutant(
        "refusals that were counted are lost when it closes",
        "runtime/fleet_stream.py",
        "                self._refusals.close()\n",
        "",
        LOG + "test_what_was_counted_is_recorded_before_it_closes",
    ),
    Mutant(
        "what of a user's search stands in quotes is read as the language of searches",
        "adapters/sqlite/fleet_views.py",
        """terms.extend(f'"{word}"*' for word in part.split())""",
        """terms.extend(f'{word}*' for word in part.split())""",
        "tests/adapters/test_fleet_views.py::test_no_search_is_an_error_whatever_it_holds",
    ),
    Mutant(
        "a key that is stored again is found by its old words",
        "adapters/sqlite/fleet_views.py",
        '            connection.execute("DELETE FROM words WHERE rowid = ?", (place,))\n',
        "",
        "tests/adapters/test_fleet_views.py"
        "::test_what_is_stored_again_is_found_by_its_new_words_only",
    ),
    Mutant(
        "a swarm's cut tail goes unnoticed",
        "runtime/audit.py",
        "    for missing, note in noted.items():\n",
        "    for missing, note in noted.items() if not seq else ():\n",
        VERDICT + "test_a_cut_tail_of_a_swarm_is_found_by_what_the_fleet_noted",
    ),
    Mutant(
        "a swarm that was written anew goes unnoticed",
        "runtime/audit.py",
        "if note is not None and note.hash != found:",
        "if note is not None and not found:",
        VERDICT + "test_a_swarm_that_was_written_anew_with_a_sound_chain_is_found",
    ),
    Mutant(
        "a head that is nowhere counts as found",
        "runtime/audit.py",
        "return self.asked is None or self.found is not None",
        "return self.asked is None or self.head is not None",
        VERDICT + "test_a_cut_tail_of_the_fleet_is_found_by_a_head_that_was_noted",
    ),
)
