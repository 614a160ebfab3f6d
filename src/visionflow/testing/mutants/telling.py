"""Mutants of what tools tell and take back: figures, pages, where a task stands, clears."""

from visionflow.testing.mutants.mutant import Mutant

FIGURES = "tests/runtime/test_figures.py::"
TASKS = "tests/serve/test_task_tools.py::"
CLEARS = "tests/serve/test_clearing.py::"
MEMORY = "tests/serve/test_memory_tools.py::"

COUNTED = (
    Mutant(
        "attempts that overlap make an agent busier than the time there was",
        "adapters/sqlite/figures.py",
        "ended - max(began, coalesce(latest, began))",
        "ended - began",
        FIGURES + "test_attempts_that_overlap_are_one_busy_time",
    ),
    Mutant(
        "an attempt that was told to stop counts as an error",
        "adapters/sqlite/figures.py",
        "({WELL}) AND cancelled_ms IS NULL AND",
        "({WELL}) AND",
        FIGURES + "test_an_attempt_that_was_told_to_stop_is_no_error",
    ),
    Mutant(
        "what an orderly end interrupts counts as an error",
        "adapters/sqlite/figures.py",
        " AND NOT (excused AND outcome IN ({AWAY}))",
        "",
        FIGURES + "test_what_an_orderly_end_interrupts_is_no_error_of_anybody",
    ),
    Mutant(
        "what somebody else ended counts as ended on purpose where a ceiling was raised for it",
        "engine/decide/workers.py",
        "free = excused and suspect not in WENT_AWAY",
        "free = excused",
        FIGURES + "test_what_memory_ended_before_anybody_heard_that_it_began_is_an_error",
    ),
    Mutant(
        "of two calls under one key the later one says that it made nothing",
        "interfaces/tools/finding.py",
        "first or _made_under(server, command, made)",
        "first",
        "tests/serve/test_agent_tools.py::test_a_call_that_comes_again_under_its_key_is_one_call",
    ),
    Mutant(
        "a page of events begins at a record and leaves out the rest of the one before",
        "runtime/queries.py",
        "seq - 1 if index >= 0 else seq",
        "seq",
        FIGURES + "test_pages_of_events_are_the_log_whatever_their_length",
    ),
    Mutant(
        "the record of like tasks begins with the oldest",
        "adapters/sqlite/figures.py",
        '    "ORDER BY ended_ms DESC LIMIT ?2"',
        '    "ORDER BY ended_ms LIMIT ?2"',
        FIGURES + "test_durations_of_a_type_have_their_median_and_their_tail",
    ),
)

STANDING = (
    Mutant(
        "a task waits for an agent that is about to leave and does not say so",
        "interfaces/tools/able.py",
        "return agent not in state.draining and",
        "return",
        TASKS + "test_an_agent_that_is_about_to_leave_is_nobody_to_wait_for",
    ),
    Mutant(
        "a result that is too large is left out and not named",
        "interfaces/tools/results.py",
        'left_out=["result"] if left_out else []',
        "left_out=[]",
        TASKS + "test_a_result_too_large_for_a_reply_is_named_and_read_piece_by_piece",
    ),
    Mutant(
        "the time of a value does not count from when it was stored",
        "interfaces/tools/memory.py",
        "ttl_ms=given.ttl,",
        "ttl_ms=None if given.ttl is None else 2 * given.ttl,",
        MEMORY + "test_a_value_is_forgotten_when_its_time_is_over",
    ),
)

CLEARED = (
    Mutant(
        "a dry run clears",
        "interfaces/tools/clearing.py",
        "        if given.dry_run:\n            rows",
        "        if given.dry_run and not given.filter:\n            rows",
        CLEARS + "test_without_a_filter_nothing_is_cleared_and_a_dry_run_changes_nothing",
    ),
    Mutant(
        "an undo lets a blocked task run",
        "interfaces/tools/clearing.py",
        "if each.before == TaskStatus.BLOCKED:",
        "if not each.before:",
        CLEARS + "test_an_undo_brings_back_what_its_clear_removed_and_names_what_it_cannot",
    ),
    Mutant(
        "a clear that is sent again clears what came since",
        "interfaces/tools/clearing.py",
        "if command is not None and await _of_clear(swarm, clear):",
        "if command is not None and not clear:",
        # After a restart: before one, the first answer is kept and hides it.
        CLEARS + "test_a_clear_is_known_and_can_be_taken_back_after_a_restart",
    ),
    Mutant(
        "a queued task that somebody could take counts as stuck",
        "interfaces/tools/stuck.py",
        "row.wanted_agent) is None:\n                return False",
        "row.wanted_agent) is None:\n                pass",
        CLEARS + "test_stuck_is_what_nobody_can_take_or_what_makes_no_progress_for_too_long",
    ),
)

MUTANTS = (*COUNTED, *STANDING, *CLEARED)
