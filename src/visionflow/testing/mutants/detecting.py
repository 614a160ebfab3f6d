"""Mutants of what notices trouble: the detector, its opinions, vetting, and stalls."""

from visionflow.testing.mutants.mutant import Mutant

LIVENESS = "tests/engine/test_liveness.py::"
OPINIONS = "tests/engine/test_detecting.py::"
VETTING = "tests/runtime/test_vetting.py::"

MUTANTS = (
    Mutant(
        "one probe is enough to lose a worker",
        "engine/liveness.py",
        "2 * len(unanswered) > len(probes)",
        "len(unanswered) > 0",
        LIVENESS + "test_nobody_is_lost_while_a_majority_of_its_probes_is_answered",
    ),
    Mutant(
        "a worker that computes is lost for not answering pings",
        "engine/liveness.py",
        "if heartbeat.answered is False and 2 *",
        "if 2 *",
        LIVENESS + "test_nobody_is_lost_while_a_majority_of_its_probes_is_answered",
    ),
    Mutant(
        "a ping that cannot be made is waited for",
        "engine/liveness.py",
        'return Probe("ping", False, "no ping is possible, its connection is gone")',
        'return Probe("ping", None, "no ping is possible, its connection is gone")',
        LIVENESS + "test_whoever_is_silent_from_some_time_on_is_lost_within_three_heartbeats",
    ),
    Mutant(
        "workers are blamed for the time in which we stood still",
        "engine/liveness.py",
        "        self.heard_ms += gap_ms\n",
        "",
        LIVENESS + "test_the_time_in_which_we_stood_still_changes_no_opinion",
    ),
    Mutant(
        "a suspect is given new work",
        "engine/evolve/detecting.py",
        "    state.supervised.suspects[event.worker] = event.evidence\n"
        "    refresh_worker(state, event.worker)\n",
        "    state.supervised.suspects[event.worker] = event.evidence\n",
        OPINIONS + "test_agents_of_a_suspected_worker_get_nothing_new_and_keep_what_they_hold",
    ),
    Mutant(
        "the next process of a lost worker is suspected like the one before",
        "engine/evolve/supervising.py",
        "    sup.suspects.pop(worker, None)\n",
        "",
        OPINIONS
        + "test_a_suspect_that_is_lost_is_suspected_no_more_and_its_next_process_is_trusted",
    ),
    Mutant(
        "a worker that was given up is let in again",
        "runtime/children.py",
        "            and child.given_up is None\n",
        "",
        "tests/runtime/test_probes.py::test_one_that_was_given_up_is_not_let_in_again_and_counts"
        "_as_gone_before_its_kill_is_done",
    ),
    Mutant(
        "a worker speaks of what another holds",
        "runtime/vetting.py",
        "        if holder != worker:\n",
        "        if holder == '':\n",
        VETTING
        + "test_what_a_worker_says_of_work_that_it_was_not_given_is_named_and_has_no_effect",
    ),
    Mutant(
        "a forged hello ends the worker that it names",
        "runtime/sessions.py",
        'worker if delivery.sender is None else delivery.sender.rpartition(".")[0]',
        "worker",
        VETTING + "test_a_forged_hello_is_rejected_to_the_face_of_whoever_forged_it",
    ),
    Mutant(
        "a worker beats for another",
        "runtime/vetting.py",
        'if sender in (None, name, f"{name}.beat"):',
        "if True:",
        VETTING + "test_nobody_beats_for_another",
    ),
    Mutant(
        "an attempt that goes round in circles makes progress",
        "engine/stalling.py",
        "        if self._goes_round():\n",
        "        if self._goes_round() and still_ms > patience:\n",
        "tests/engine/test_stalling.py::"
        "test_the_same_calls_over_and_over_are_no_progress_however_quick_they_come",
    ),
    Mutant(
        "a worker that beats and takes up nothing gets more",
        "runtime/liveness.py",
        "                            watched.unheeded = True\n",
        "                            watched.unheeded = False\n",
        "tests/runtime/test_unheeded.py::"
        "test_one_that_does_not_take_up_what_it_was_given_is_suspected_before_that_is_lost",
    ),
    Mutant(
        "what a worker started in sessions of its own outlives it",
        "adapters/host_os.py",
        "            end_started_by(self._mark)\n",
        "            pass\n",
        "tests/adapters/test_host_os.py::test_it_is_a_host[what_a_child_started_ends_with_it]",
    ),
    Mutant(
        "an agent's module that ends its process is imported unseen",
        "agents/trying.py",
        "    if process.returncode != _RETURNED:\n",
        "    if process.returncode < 0:\n",
        "tests/agents/test_trying.py::"
        "test_it_is_looked_for_where_this_process_looks_and_what_it_raises_is_told_by_the_import",
    ),
)
