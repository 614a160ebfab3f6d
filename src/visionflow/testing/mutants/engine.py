"""Mutants of the engine: decide, evolve, effects, matching."""

from visionflow.testing.mutants.mutant import Mutant

TESTS = "tests/engine/"

ATTEMPTS = (
    Mutant(
        "no fence: a result counts whichever attempt it quotes",
        "engine/decide/tasks.py",
        "if task is None or task.attempt != attempt or task.status not in RUNNING:",
        "if task is None or task.status not in RUNNING:",
        TESTS
        + "test_attempts.py::test_a_late_result_of_attempt_1_is_refused_once_attempt_2_is_out",
    ),
    Mutant(
        "no fence for failures: a late failure ends the present attempt",
        "engine/decide/tasks.py",
        "if task is not None and task.attempt == attempt and task.status in RUNNING:",
        "if task is not None and task.status in RUNNING:",
        TESTS + "test_attempts.py::test_a_late_failure_of_attempt_1_does_not_end_attempt_2",
    ),
    Mutant(
        "the committed result again is recorded as refused",
        "engine/decide/tasks.py",
        "    if current == attempt and ended:\n        return []\n",
        "",
        TESTS + "test_attempts.py::test_the_committed_result_may_come_again_and_nothing_happens",
    ),
    Mutant(
        "attempts are not counted up",
        "engine/decide/assigning.py",
        "number = state.tasks[task].attempt + 1\n",
        "number = max(1, state.tasks[task].attempt)\n",
        TESTS + "test_attempts.py::test_attempts_are_numbered_without_a_gap_and_never_twice",
    ),
    Mutant(
        "recovery leaves the attempts of joined workers open",
        "engine/decide/fleet.py",
        "        if worker.status in LIVE and worker.id not in taken_up.kept:\n",
        "        if worker.status is WorkerStatus.STARTING:\n",
        TESTS + "test_fleet.py::test_recovery_fences_every_attempt_that_was_open",
    ),
)

RETRIES = (
    Mutant(
        "evolve computes a retry time of its own",
        "engine/evolve/tasks.py",
        "        task.retry_at_ms = event.retry_at_ms\n",
        "        task.retry_at_ms = state.now_ms + 1_000 * task.failures\n",
        TESTS + "test_retries.py::test_waits_follow_the_policy",
    ),
    Mutant(
        "retries ignore the policy: every wait is the first one",
        "engine/decide/attempts.py",
        "wait = policy.base_ms << min(failures - 1, 32)",
        "wait = policy.base_ms",
        TESTS + "test_retries.py::test_waits_follow_the_policy",
    ),
    Mutant(
        "retries ignore `none`",
        "engine/decide/attempts.py",
        "if kind is FailureKind.PERMANENT or policy.backoff is Backoff.NONE:",
        "if kind is FailureKind.PERMANENT:",
        TESTS + "test_retries.py::test_waits_follow_the_policy",
    ),
    Mutant(
        "a permanent failure is tried again",
        "engine/decide/attempts.py",
        "if kind is FailureKind.PERMANENT or policy.backoff is Backoff.NONE:",
        "if policy.backoff is Backoff.NONE:",
        TESTS + "test_retries.py::test_a_permanent_failure_is_not_tried_again",
    ),
    Mutant(
        "jitter does not come from the command's entropy",
        "engine/decide/attempts.py",
        "policy.jitter_bp * (entropy % 10_001)",
        "policy.jitter_bp * (hash((failures, policy.base_ms)) % 10_001)",
        TESTS + "test_retries.py::"
        "test_jitter_comes_from_the_entropy_of_the_command_and_from_nothing_else",
    ),
    Mutant(
        "one attempt more than allowed",
        "engine/decide/attempts.py",
        "if failures >= policy.attempts_max:",
        "if failures > policy.attempts_max:",
        TESTS + "test_retries.py::"
        "test_a_task_whose_attempts_all_failed_is_in_the_dead_letter_with_its_reason",
    ),
    Mutant(
        "the dead letter has no reason",
        "engine/decide/attempts.py",
        'closing.dead_letter(name, f"{verdict}: {reason}", kind)',
        'closing.dead_letter(name, "", kind)',
        TESTS + "test_retries.py::"
        "test_a_task_whose_attempts_all_failed_is_in_the_dead_letter_with_its_reason",
    ),
    Mutant(
        "crashes are never counted",
        "engine/evolve/tasks.py",
        "        task.crashes += 1\n",
        "        task.crashes += 0\n",
        TESTS + "test_retries.py::test_a_task_that_brings_its_worker_down_three_times_is_poison",
    ),
    Mutant(
        "a finished step does not reset the count of crashes",
        "engine/evolve/tasks.py",
        "    task.crashes = task.kills = 0\n\n\ndef _release",
        "    task.kills = 0\n\n\ndef _release",
        TESTS + "test_retries.py::test_a_finished_step_shows_progress_and_the_crashes_count_anew",
    ),
    Mutant(
        "a retry that is due is never queued",
        "engine/decide/tasks.py",
        "for at_ms, name in state.retries.due(now_ms):",
        "for at_ms, name in state.retries.due(now_ms - 10**9):",
        TESTS + "test_retries.py::"
        "test_a_task_that_fails_twice_succeeds_the_third_time_at_growing_intervals",
    ),
)

QUEUE = (
    Mutant(
        "aging is dropped: priority alone decides",
        "engine/matching.py",
        "return since_ms + priority * AGING_MS_PER_POINT",
        "return priority * AGING_MS_PER_POINT",
        TESTS + "test_queue_order.py::test_a_task_that_waited_longer_than_the_bonus_comes_first",
    ),
    Mutant(
        "priority is inverted",
        "engine/matching.py",
        "return since_ms + priority * AGING_MS_PER_POINT",
        "return since_ms - priority * AGING_MS_PER_POINT",
        TESTS + "test_queue_order.py::test_a_critical_task_overtakes_a_low_one_that_came_before_it",
    ),
    Mutant(
        "specialists come last",
        "engine/matching.py",
        "self._classes.sort(key=lambda member: len(member.offers))",
        "self._classes.sort(key=lambda member: -len(member.offers))",
        TESTS + "test_matching_rules.py::"
        "test_among_equals_in_score_the_specialist_comes_before_the_one_who_can_more",
    ),
    Mutant(
        "agents take no turns: the last to be free is the next",
        "engine/matching.py",
        "            queue.append((seat.ticket, agent))\n",
        "            queue.appendleft((seat.ticket, agent))\n",
        TESTS + "test_matching_rules.py::test_equal_agents_share_the_work_evenly",
    ),
    Mutant(
        "the best score comes last",
        "engine/matching.py",
        "for level in range(SCORE_LEVELS - 1, -1, -1):",
        "for level in range(SCORE_LEVELS):",
        TESTS + "test_matching_rules.py::"
        "test_an_agent_that_failed_before_comes_after_one_that_did_not",
    ),
    Mutant(
        "a group without a free agent is never looked at again",
        "engine/matching.py",
        "        waiting = member.groups & self._parked\n",
        "        waiting = 0\n",
        TESTS + "test_matching_rules.py::"
        "test_a_task_that_found_all_able_agents_busy_is_looked_at_again_when_one_is_free",
    ),
    Mutant(
        "a pinned task goes to anybody able",
        "engine/matching.py",
        "        if group.agent is not None:\n            seat = self._seats",
        "        if group.agent == '':\n            seat = self._seats",
        TESTS + "test_matching_rules.py::test_a_task_for_one_agent_waits_for_that_agent",
    ),
)

PLANS = (
    Mutant(
        "the failure threshold is ignored",
        "engine/decide/closing.py",
        "if len(failed) * 10_000 > plan.threshold_bp * len(phase.tasks):",
        "if failed:",
        TESTS + "test_plans.py::"
        "test_one_of_eight_parts_may_fail_at_a_threshold_of_a_fifth_and_is_named",
    ),
    Mutant(
        "the threshold itself is already too much",
        "engine/decide/closing.py",
        "if len(failed) * 10_000 > plan.threshold_bp * len(phase.tasks):",
        "if failed and len(failed) * 10_000 >= plan.threshold_bp * len(phase.tasks):",
        TESTS + "test_plans.py::test_exactly_the_threshold_is_not_above_it",
    ),
    Mutant(
        "a phase opens before the one before it has ended",
        "engine/decide/tasks.py",
        "closed = blocked or index > 0 or 0 < turns <= place",
        "closed = blocked or 0 < turns <= place",
        TESTS + "test_plans.py::test_a_phase_starts_when_the_one_before_has_ended_and_not_earlier",
    ),
    Mutant(
        "a sequential phase runs in parallel",
        "engine/decide/closing.py",
        "in_turn(phase, self.has_ended) if phase.is_bounded else phase.tasks:",
        "in_turn(phase, self.has_ended) if phase.width else phase.tasks:",
        TESTS + "test_plans.py::"
        "test_a_sequential_phase_opens_after_a_parallel_one_with_its_first_part_only",
    ),
    Mutant(
        "the rest of a failed plan runs on",
        "engine/decide/closing.py",
        '            self._cancel_parts(plan, f"its plan failed: {why}")\n',
        "",
        TESTS + "test_plans.py::"
        "test_two_of_eight_exceed_a_threshold_of_a_fifth_and_the_rest_is_cancelled",
    ),
    Mutant(
        "dependents are never queued",
        "engine/decide/closing.py",
        "        elif self._is_open(task):\n            self._queue(task)\n",
        "",
        TESTS + "test_repeated_commands.py::"
        "test_a_task_waits_for_all_it_depends_on_however_often_each_is_named",
    ),
    Mutant(
        "a task that depends on a failed one runs all the same",
        "engine/decide/closing.py",
        "        if not ok:\n            self.fail(name,",
        "        if ok is None:\n            self.fail(name,",
        TESTS + "test_cancelling.py::test_what_depends_on_a_cancelled_task_fails_and_says_on_which",
    ),
)

REQUESTS = (
    Mutant(
        "the limit of agents is off by one",
        "engine/decide/fleet.py",
        "if count >= state.spec.limits.agents_max:",
        "if count > state.spec.limits.agents_max:",
        TESTS + "test_fleet.py::"
        "test_of_fifty_spawns_in_one_batch_exactly_as_many_as_the_limit_are_admitted",
    ),
    Mutant(
        "a repeated command is carried out again",
        "engine/decide/__init__.py",
        "        if known is not None:\n            return [], known\n",
        "        if known is None:\n            pass\n",
        TESTS + "test_repeated_commands.py::"
        "test_a_repeated_command_gets_its_first_answer_and_nothing_happens",
    ),
    Mutant(
        "a refusal is remembered under the command's id",
        "engine/decide/__init__.py",
        "message=told, asked=command.command",
        "message=told, command=command.command",
        TESTS + "test_repeated_commands.py::"
        "test_a_command_that_was_refused_is_decided_anew_and_from_then_on_it_is_known",
    ),
    Mutant(
        "a refusal of a log of before is forgotten",
        "engine/evolve/fleet.py",
        "    answer(state, event.command, Answer(state.now_ms, None, event.code, event.message))\n",
        "",
        TESTS + "test_repeated_commands.py::"
        "test_a_refusal_in_a_log_of_before_stays_the_answer_to_its_command",
    ),
    Mutant(
        "cancelling is ignored: the attempt is tried again",
        "engine/decide/attempts.py",
        "    if cancelling is not None:\n        record(None)\n",
        "    if cancelling == '':\n        record(None)\n",
        TESTS + "test_cancelling.py::"
        "test_a_running_task_is_told_to_stop_and_is_cancelled_when_its_attempt_ends",
    ),
    Mutant(
        "deadlines are ignored",
        "engine/decide/tasks.py",
        "for at_ms, name in state.deadlines.due(now_ms):",
        "for at_ms, name in state.deadlines.due(0):",
        TESTS + "test_cancelling.py::test_a_queued_task_whose_deadline_passes_has_failed",
    ),
    Mutant(
        "a closed lid burns attempts",
        "engine/evolve/fleet.py",
        "    state.clocks.shift(event.gap_ms, until_ms)\n",
        "    pass\n",
        TESTS + "test_cancelling.py::test_time_that_was_slept_through_counts_for_no_attempt",
    ),
    Mutant(
        "wall-clock limits are ignored",
        "engine/decide/tasks.py",
        "for name in state.clocks.overdue(now_ms, TIMEOUT_GRACE_MS + command.gap_ms):",
        "for name in state.clocks.overdue(0, TIMEOUT_GRACE_MS + command.gap_ms):",
        TESTS + "test_cancelling.py::"
        "test_an_attempt_over_its_wall_clock_limit_ends_though_its_worker_is_silent",
    ),
    Mutant(
        "a closed swarm still accepts",
        "engine/decide/tasks.py",
        "if state.spec is None or state.closed is not None:",
        "if state.spec is None:",
        TESTS + "test_repeated_commands.py::test_a_closed_swarm_takes_nothing_and_says_so",
    ),
    Mutant(
        "deciding changes the state",
        "engine/decide/tasks.py",
        "    task = _known(state, command.task)\n    if task.status in TERMINAL:\n",
        "    task = _known(state, command.task)\n    task.reason = command.reason\n"
        "    if task.status in TERMINAL:\n",
        TESTS + "test_repeated_commands.py::test_deciding_changes_nothing",
    ),
)

EFFECTS = tuple(
    Mutant(
        f"the effect {kind} is forgotten at a restart",
        "engine/effects.py",
        before,
        after,
        TESTS + "test_outstanding.py::"
        "test_every_kind_of_effect_is_met_and_none_is_forgotten_at_any_prefix",
    )
    for kind, before, after in (
        ("StartWorker", "if worker.status is WorkerStatus.WANTED and needed:", "if False:"),
        (
            "StopWorker",
            "    if not needed or worker.id in state.supervised.restarting:\n",
            "    if not needed and state.closed:\n",
        ),
        (
            "Host",
            "if agent.status in (AgentStatus.INITIALISING, AgentStatus.RECOVERING):",
            "if agent.status is AgentStatus.INITIALISING:",
        ),
        ("Drop", "elif agent.status is AgentStatus.TERMINATING:", "elif state.closed is not None:"),
        ("Deliver", "elif found.status is TaskStatus.ASSIGNED:", "elif found.kills:"),
        ("Cancel", "if found.cancelling is not None:", "if found.cancelling == '':"),
    )
)

FLEET = (
    Mutant(
        "a worker is started for ever, however often it dies",
        "engine/decide/recovering.py",
        "if kind not in NOT_ITS_OWN and by_itself >= strategy.restarts_max:",
        "if kind not in NOT_ITS_OWN and by_itself >= 10**9:",
        TESTS + "test_fleet.py::"
        "test_a_worker_starts_again_at_once_then_later_each_time_and_then_not_at_all",
    ),
    Mutant(
        "an earlier process of a worker is believed",
        "engine/decide/workers.py",
        "return found is not None and found.incarnation == incarnation and found.status in LIVE",
        "return found is not None and found.status in LIVE",
        TESTS + "test_fleet.py::test_what_an_earlier_process_of_a_worker_says_is_ignored",
    ),
    Mutant(
        "a worker that stopped ends agents that were placed on it since",
        "engine/decide/workers.py",
        "_lose_agents(state, closing, worker, FailureKind.KILLED, reason, now_ms)",
        "closing.events.extend(e.AgentTerminated(agent=name) for name in worker.agents)",
        TESTS + "test_fleet.py::"
        "test_an_agent_placed_on_a_worker_that_is_just_ending_is_built_by_its_next_process",
    ),
    Mutant(
        "all that ran in a process that one blocked is late",
        "engine/decide/workers.py",
        "_in_time(state, worker, now_ms) if kind is FailureKind.TIMEOUT else {}",
        "{}",
        TESTS + "test_blame.py::"
        "test_of_several_in_a_process_that_one_blocked_beyond_its_limit_only_that_one_is_late",
    ),
    Mutant(
        "a newcomer under which a process died is built beside the others again",
        "engine/decide/workers.py",
        "    if parted_after is not None and not late:\n",
        "    if parted_after is None and not late:\n",
        TESTS + "test_newcomers.py::test_it_is_built_in_a_process_of_its_own_and_dies_there_alone",
    ),
    Mutant(
        "an agent that failed is changed and not built again",
        "engine/decide/updating.py",
        "    failed = agent.status is AgentStatus.FAILED\n",
        "    failed = False\n",
        TESTS + "test_updating.py::test_one_that_failed_is_built_again_as_it_is_now",
    ),
    Mutant(
        "the incarnations of a forgotten worker are used again",
        "engine/evolve/fleet.py",
        "        state.retired = max(state.retired, worker.incarnation)\n",
        "",
        TESTS + "test_fleet.py::test_a_worker_of_the_same_name_never_has_an_incarnation_again",
    ),
)

MUTANTS = (*ATTEMPTS, *RETRIES, *QUEUE, *PLANS, *REQUESTS, *EFFECTS, *FLEET)
