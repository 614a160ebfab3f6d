"""Mutants of the shell: control plane, effects, sessions, children, recovery, and the worker.

Their checks are ranges of the simulator's seeds. A range is several times as long as it takes on
average until a seed shows the fault, so that another order of events hides none of them.
"""

from visionflow.testing.mutants.mutant import Mutant

SEEDS = "tests/simulator/ranges.py::test_seeds_of_a_range_are_clean"
FEW, MORE, MANY = f"{SEEDS}[20]", f"{SEEDS}[60]", f"{SEEDS}[160]"

CONTROL_PLANE = (
    Mutant(
        "reply before commit",
        "runtime/control_plane.py",
        "self._outbox.append(_bind(answered, answer))",
        "answered(answer)",
        FEW,
    ),
    Mutant(
        "a batch is decided before it is folded",
        "runtime/control_plane.py",
        """        for _ in range(COMMANDS_PER_TURN_MAX):
            if not mailbox or len(self._events) >= EVENTS_PER_RECORD_MAX:
                break
            command, answered = mailbox.popleft()
            answer = ACCEPTED
            if command is not None:
                events, answer = handle(state, command)
                for event in events:
                    self._happen(event)
            if answered is not None:
                self._outbox.append(_bind(answered, answer))
""",
        """        decided: list[E] = []
        for _ in range(COMMANDS_PER_TURN_MAX):
            if not mailbox or len(self._events) >= EVENTS_PER_RECORD_MAX:
                break
            command, answered = mailbox.popleft()
            answer = ACCEPTED
            if command is not None:
                events, answer = handle(state, command)
                decided.extend(events)
            if answered is not None:
                self._outbox.append(_bind(answered, answer))
        for event in decided:
            self._happen(event)
""",
        FEW,
    ),
    Mutant(
        "the end of a task is told before it is durable",
        "runtime/control_plane.py",
        "outbox.append(_bind_record(committed, seq, at_ms, events))",
        "committed(seq, at_ms, events)",
        FEW,
    ),
    Mutant(
        "a read of live state does not wait for the disk",
        "runtime/control_plane.py",
        "        self._outbox.append(call)\n        self._schedule()\n",
        "        call()\n",
        FEW,
    ),
)

EFFECTS = (
    Mutant(
        "effects leave before their record is durable",
        "runtime/effects.py",
        "        return leave\n",
        "        leave()\n        return None\n",
        FEW,
    ),
    Mutant(
        "a worker that waited to be started is forgotten at a restart",
        "runtime/effects.py",
        """        for worker in self._control.state.workers:
            self._dirty[worker] = None
        for name""",
        """        for name""",
        MORE,
    ),
    Mutant(
        "a start that waits for its time is not withdrawn",
        "runtime/effects.py",
        "                self._children.withdraw(effect)\n",
        "                continue\n",
        MANY,
    ),
)

SESSIONS = (
    Mutant(
        "frames are acknowledged before the log holds them",
        "runtime/sessions.py",
        "self._control.in_order(lambda _: self._ack(worker, incarnation, frame.number))",
        "self._ack(worker, incarnation, frame.number)",
        FEW,
    ),
    Mutant(
        "no secret is asked for",
        "runtime/children.py",
        "            and is_secret(secret, child.secret_hash)\n",
        "",
        FEW,
    ),
    Mutant(
        "the death of a worker is not reported",
        "runtime/children.py",
        "        self._lost(child.worker, child.incarnation, kind, reason, child, words)\n",
        "        self._idle.clear()\n",
        FEW,
    ),
)

RECOVERY = (
    Mutant(
        "recovery leaves processes of the earlier life alive",
        "runtime/recovery.py",
        "if host.end_leftover(worker.pid, worker.started):",
        "if not worker.pid:",
        FEW,
    ),
    Mutant(
        "a log is taken up without a word",
        "runtime/recovery.py",
        "return c.Recover(now_ms=now_ms, kept=kept,",
        "return c.Tick(now_ms=now_ms) if not kept else c.Recover(now_ms=now_ms, kept=kept,",
        FEW,
    ),
)

WORKER = (
    Mutant(
        "finished steps run again",
        "worker/steps.py",
        "known = self._recorded.get(key)",
        "known = self._recorded.get(key, None) if not key else None",
        FEW,
    ),
    Mutant(
        "a worker forgets what was not acknowledged when its connection breaks",
        "worker/session.py",
        """        for sent in list(self._unacked):
            self._publish(self._identity.commands, sent.body)
""",
        "        self._unacked.clear()\n",
        MANY,
    ),
    Mutant(
        "an attempt that is delivered twice runs twice",
        "worker/executor.py",
        "if known.dispatch.attempt >= dispatch.attempt:",
        "if known.dispatch.attempt > dispatch.attempt:",
        MORE,
    ),
    Mutant(
        "a large result is named and never stored",
        "worker/values.py",
        "Payload(blob=blobs.put(body))",
        'Payload(blob="0" * 64)',
        FEW,
    ),
)

MUTANTS = (*CONTROL_PLANE, *EFFECTS, *SESSIONS, *RECOVERY, *WORKER)
