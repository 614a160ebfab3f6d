"""Hosts agents and runs the attempts that are given to this process.

Per attempt it guarantees one report at most, within the wall-clock limit and a grace, whatever
the agent's code does. It talks through a `Reporter`; connections are the session's business.
It runs over ports alone, so that the simulator drives the very same code.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Protocol

from visionflow.agents.base import AgentContext, BaseAgent
from visionflow.agents.loading import load_current_class
from visionflow.domain.agents import AgentSpec
from visionflow.domain.messages import (
    Begin,
    CancelAttempt,
    Dispatch,
    EffectAnswer,
    Failed,
    LogLine,
    Message,
    Progress,
    RecallAttempt,
    Result,
    Started,
    StepAnswer,
)
from visionflow.domain.tasks import FailureKind
from visionflow.ports.blobs import Blobs
from visionflow.ports.host import Host, Timer
from visionflow.worker.asking import AskedAnswer, MailedAnswer, Notice
from visionflow.worker.attempt import Question, RunningAttempt, Stop
from visionflow.worker.debugging import Debugging
from visionflow.worker.hosting import Hosting
from visionflow.worker.mail import PostOffice
from visionflow.worker.telling import sendable
from visionflow.worker.threads import Threads, end_if_forked, offload

ANNOUNCE_MS = 50
"""An attempt that still runs after this is reported as started."""
STOP_GRACE_MS = 2_000
"""What does not end this long after it was told to is reported and given up."""
OVERRUN_MS = 5_000
"""Code that still runs this long after its attempt was given up is told of in heartbeats."""
GIVEN_UP_MAX = 16
"""So many attempts given up make the process one to be replaced."""
LEVEL_CHARS_MAX = 16
FINISHED_MAX = 4_096
"""Finished attempts that are remembered, so that a late repeat of a Dispatch runs nothing."""


class Reporter(Protocol):
    """Takes messages to the orchestrator."""

    def send(self, message: Message) -> None:
        """Deliver it, over several connections if need be."""
        ...

    def signal(self, message: Message) -> None:
        """Deliver it if somebody is there now."""
        ...


class Executor:
    """The agents and attempts of one worker process."""

    def __init__(
        self,
        *,
        host: Host,
        blobs: Blobs,
        threads: Threads,
        make_context: Callable[[AgentSpec, Callable[[str, str], None]], AgentContext],
        load: Callable[[str], type[BaseAgent]] = load_current_class,
        on_worn_out: Callable[[], None] | None = None,
        on_hosted: Callable[[list[str]], None] | None = None,
        end_started: Callable[[float], int] | None = None,
    ) -> None:
        """`make_context` gets the agent's spec and where its log lines go (level, text).

        `on_worn_out` is called when too many attempts had to be given up, `on_hosted` with the ids
        of the agents that are here whenever that has changed. `end_started` ends the processes
        that this one started within the last so many seconds, and gives how many.
        """
        self.loop = asyncio.get_running_loop()
        self.threads = threads
        self.blobs = blobs
        self._host = host
        self._on_worn_out = on_worn_out
        self._end_started = end_started
        self._reporter: Reporter | None = None
        self.mail = PostOffice(self, host)
        self._hosting = Hosting(self, make_context, load, on_hosted)
        self.hosted = self._hosting.held
        self._attempts: dict[str, RunningAttempt] = {}
        self._finished: dict[str, int] = {}
        self._running: dict[RunningAttempt, None] = {}
        self._sweep: tuple[float, Timer] | None = None
        self._alone: float | None = None
        """Since when the orchestrator is out of reach."""
        self._draining: str | None = None
        self._pid = os.getpid()
        self.debugging = Debugging(host, self.write_log)
        self.on_result: Callable[[Dispatch, Result], None] | None = None
        """Told of each result after it was reported."""
        self.given_up = 0
        """Attempts whose code did not end when it was told to; it may still run."""
        self._runs_on: dict[RunningAttempt, None] = {}
        self.overrunning = 0
        """Attempts given up `OVERRUN_MS` ago or earlier whose code still runs."""

    def report_to(self, reporter: Reporter) -> None:
        """Where messages go from now on."""
        self._reporter = reporter

    # What the orchestrator asks for ----------------------------------------------------------

    def host_agent(self, spec: AgentSpec, revision: int = 0) -> None:
        """Build an agent; answered by AgentUp or AgentDown, also when it is there already.

        One that is there in a lower revision is built anew once none of its attempts is open.

        Not in a process that is about to end: the next one is asked again.
        """
        if self._draining is None:
            self._hosting.host(spec, revision)

    def drop_agent(self, agent: str) -> None:
        """End an agent with all its attempts, of which nothing more is reported."""
        for attempt in list(self._attempts.values()):
            if attempt.dispatch.agent == agent:
                self._silence(attempt, "its agent was ended")
        self._hosting.drop(agent)

    def dispatch(self, dispatch: Dispatch) -> None:
        """Work on an attempt, once; a higher one of the same task replaces a lower one.

        Nothing is said of one that comes when the process is about to end: it goes to another
        when that has happened. Refused, it would be given out here again and again until then.
        """
        if self._draining is not None:
            return
        known = self._attempts.get(dispatch.task)
        if known is not None:
            if known.dispatch.attempt >= dispatch.attempt:
                return
            self._silence(known, "a later attempt of the same task was given out")
        elif self._finished.get(dispatch.task, 0) >= dispatch.attempt:
            return
        found = self._hosting.find(dispatch.agent)
        if found is None:
            reason = f"This worker does not host agent {dispatch.agent}."
            self.send(Failed(dispatch.task, dispatch.attempt, FailureKind.AGENT_GONE, reason))
            return
        agent, lane = found
        attempt = RunningAttempt(dispatch, agent, self)
        self._attempts[dispatch.task] = attempt
        self.debugging.taken(attempt)
        lane.offer(attempt)
        if not attempt.ended:
            self._running[attempt] = None
            self._sweep_within(ANNOUNCE_MS)

    def cancel(self, cancel: CancelAttempt) -> None:
        """Stop an attempt; answered by Failed, also when it is not here."""
        attempt = self._attempts.get(cancel.task)
        if attempt is None or attempt.dispatch.attempt != cancel.attempt:
            if self._finished.get(cancel.task) != cancel.attempt:
                reason = f"{cancel.reason} (it was not in this worker)"
                self.send(Failed(cancel.task, cancel.attempt, FailureKind.KILLED, reason))
            return
        self._stop(attempt, FailureKind.KILLED, cancel.reason)

    def recall(self, recall: RecallAttempt) -> None:
        """Give an attempt back that has not begun, also one that is not here; say of one that has
        that it began."""
        task, number = recall.task, recall.attempt
        attempt = self._attempts.get(task)
        if attempt is None or attempt.dispatch.attempt < number:
            if self._finished.get(task, 0) < number:
                # Should it come now, it runs no more.
                self._remember(task, number)
                self.send(Failed(task, number, FailureKind.RECALLED, recall.reason))
        elif attempt.dispatch.attempt == number:
            found = self._hosting.find(attempt.dispatch.agent)
            if found is not None and found[1].withdraw(attempt):
                self.ended(attempt, Failed(task, number, FailureKind.RECALLED, recall.reason))
            else:
                self._announce(attempt)

    def withdraw(self, task: str, attempt: int, reason: str) -> None:
        """Stop an attempt that nobody waits for; nothing is reported of it."""
        found = self._attempts.get(task)
        if found is not None and found.dispatch.attempt == attempt:
            self._silence(found, reason)

    def open_of(self, agent: str) -> int | None:
        """How many attempts an agent has here; `None`: it takes none, or is not here."""
        if self._draining is not None or self._hosting.find(agent) is None:
            return None
        return sum(attempt.dispatch.agent == agent for attempt in self._attempts.values())

    def step_answered(self, answer: StepAnswer) -> None:
        """A step is in the log, or its attempt is stale."""
        attempt = self._attempts.get(answer.task)
        if attempt is not None and attempt.dispatch.attempt == answer.attempt:
            attempt.answer(answer.key, answer.accepted)

    def asked_answered(self, answer: AskedAnswer) -> None:
        """What an attempt asked of its swarm is answered."""
        attempt = self._attempts.get(answer.task)
        if attempt is not None and attempt.dispatch.attempt == answer.attempt:
            attempt.asked_answered(answer)

    def mail_answered(self, answer: MailedAnswer) -> None:
        """What an attempt or its agent asked about mail is answered."""
        if answer.task:
            self.asked_answered(answer)
        else:
            self.mail.answered(answer)

    def effect_answered(self, answer: EffectAnswer) -> None:
        """What the ledger of outside effects says."""
        attempt = self._attempts.get(answer.task)
        if attempt is not None and attempt.dispatch.attempt == answer.attempt:
            attempt.effect_answered(answer)

    def begin(self, begin: Begin) -> None:
        """The log says that a suspect attempt has begun."""
        attempt = self._attempts.get(begin.task)
        if attempt is not None and attempt.dispatch.attempt == begin.attempt:
            attempt.answer("", True)

    def repeat_steps(self) -> None:
        """Report every unanswered step again: its answer may have gone with a connection."""
        for attempt in list(self._attempts.values()):
            for done in attempt.unanswered():
                self.send(done)
        self.mail.repeat()

    def held(self) -> tuple[tuple[str, int], ...]:
        """(task, attempt) of all that wait or run. From any thread."""
        return tuple(
            (attempt.dispatch.task, attempt.dispatch.attempt) for attempt in self._snapshot()
        )

    def overdue_s(self) -> float:
        """How far the worst attempt is beyond its limit; over the grace, the loop is stuck.

        From any thread.
        """
        now = self._judged_by()
        late = [now - due for _, due in self._started(self._snapshot())]
        return max(*late, self._hosting.overdue_s(now), -1.0)

    def fail_all(self, kind: FailureKind, reason: str) -> None:
        """Report every attempt as failed at once, without waiting for its code."""
        for attempt in list(self._attempts.values()):
            attempt.tell_to_stop(Stop(kind, reason))
            self.ended(attempt, attempt.failure(asyncio.CancelledError()))

    async def drain(self, reason: str, patience_ms: int) -> None:
        """Take nothing new, fail what has not begun, and let the rest end within this time."""
        self._draining = reason
        for attempt in list(self._attempts.values()):
            if attempt.started_at is None:
                self._stop(attempt, FailureKind.KILLED, reason)
        until = self.loop.time() + patience_ms / 1000
        while self._attempts and self.loop.time() < until:
            await asyncio.sleep(0.02)

    async def close(self, reason: str) -> None:
        """End all attempts without a report, and then all agents."""
        self._draining = reason
        for attempt in list(self._attempts.values()):
            self._silence(attempt, reason)
        self.mail.close()
        await self._hosting.close()

    # What attempts, lanes and agents ask for -------------------------------------------------

    def send(self, message: Message) -> None:
        """Report something that must arrive."""
        if self._reporter is not None:
            self._reporter.send(message)

    def began(self, attempt: RunningAttempt) -> None:
        """Its code starts running now."""
        if attempt.started_at is None:
            attempt.started_at = self.loop.time()
            self.debugging.began(attempt)
        if attempt.dispatch.announce and not (attempt.ended or attempt.dispatch.suspect):
            self._announce(attempt)

    def ended(self, attempt: RunningAttempt, message: Result | Failed) -> None:
        """Its code is done, or it is given up. Only the first end of an attempt counts."""
        end_if_forked(self._pid)
        if attempt.ended:
            self._ended_late(attempt)
            return
        attempt.ended = True
        self.debugging.ended(attempt, message)
        dispatch = attempt.dispatch
        if self._attempts.get(dispatch.task) is attempt:
            del self._attempts[dispatch.task]
        self._running.pop(attempt, None)
        if not attempt.silent:
            self._end_processes(attempt)
            self._remember(dispatch.task, dispatch.attempt)
            self.send(message)
            if self.on_result is not None and isinstance(message, Result):
                self.on_result(dispatch, message)
        if self._hosting.outdated:
            self._hosting.renew(dispatch.agent)

    def is_idle(self, agent: str) -> bool:
        """Whether no attempt of an agent is open here."""
        return not any(
            attempt.dispatch.agent == agent
            for attempts in (self._attempts.values(), self._running)
            for attempt in attempts
        )

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        return offload(self.threads, call)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._host.now_ms()

    def report_step(self, done: Question | Notice) -> None:
        """See `Surroundings`."""
        self.send(done)

    def report_progress(self, progress: Progress) -> None:
        """See `Surroundings`."""
        self._signal(progress)

    def write_log(self, agent: str | None, level: str, text: str) -> None:
        """A line for the log of an agent. From any thread."""
        self._signal(LogLine(agent, sendable(level, LEVEL_CHARS_MAX), sendable(text)))

    def in_loop(self) -> asyncio.AbstractEventLoop:
        """See `Surroundings`."""
        return self.loop

    # Time ------------------------------------------------------------------------------------

    def _sweep_within(self, delay_ms: float) -> None:
        at = self.loop.time() + delay_ms / 1000
        if self._sweep is not None:
            if self._sweep[0] <= at:
                return
            self._sweep[1].cancel()
        self._sweep = (at, self._host.call_later(max(1, round(delay_ms)), self._look_around))

    def _look_around(self) -> None:
        """Announce what takes a moment, stop what takes too long; then sleep until the next."""
        self._sweep = None
        now = self._judged_by()
        next_at: float | None = None
        for attempt, due in self._started(list(self._running)):
            if now >= due:
                self._stop(attempt, FailureKind.TIMEOUT, _time_out_reason(attempt))
                continue
            began = attempt.started_at or now
            if not attempt.announced:
                if now - began >= ANNOUNCE_MS / 1000 - 0.001:
                    self._announce(attempt)
                else:
                    due = min(due, began + ANNOUNCE_MS / 1000)
            next_at = due if next_at is None else min(next_at, due)
        if len(self._running) > 0 and any(a.started_at is None for a in self._running):
            next_at = min(next_at or now + 1, now + ANNOUNCE_MS / 1000)
        if next_at is not None:
            self._sweep_within(
                max((next_at - now) * 1000, 1 if self._alone is None else ANNOUNCE_MS)
            )

    def pause(self) -> None:
        """The orchestrator is out of reach: what waits for it cannot go on, and no attempt is
        stopped for the time that passes."""
        if self._alone is None:
            self._alone = self.loop.time()

    def resume(self) -> None:
        """It is back: every attempt has as much time left as it had then."""
        since, self._alone = self._alone, None
        if since is not None:
            now = self.loop.time()
            for attempt in {**dict.fromkeys(self._attempts.values()), **self._running}:
                if attempt.started_at is not None:
                    attempt.started_at += now - max(since, min(attempt.started_at, now))

    def _judged_by(self) -> float:
        now, since = self.loop.time(), self._alone
        return now if since is None else min(now, since)

    def _started(self, attempts: list[RunningAttempt]) -> Iterator[tuple[RunningAttempt, float]]:
        """Those whose code runs and was not told to stop, and when their time is up."""
        for attempt in attempts:
            if attempt.started_at is not None and attempt.stop is None:
                yield attempt, attempt.started_at + attempt.dispatch.timeout_ms / 1000

    def _announce(self, attempt: RunningAttempt) -> None:
        if not attempt.announced and not attempt.silent:
            attempt.announced = True
            self.send(Started(attempt.dispatch.task, attempt.dispatch.attempt))

    # Ends ------------------------------------------------------------------------------------

    def _stop(self, attempt: RunningAttempt, kind: FailureKind, reason: str) -> None:
        if attempt.stop is not None or attempt.ended:
            return
        self.debugging.stopping(attempt, reason)
        attempt.tell_to_stop(Stop(kind, reason))
        if attempt.started_at is None:
            self.ended(attempt, attempt.failure(asyncio.CancelledError()))
        else:
            self._host.call_later(STOP_GRACE_MS, partial(self._give_up, attempt))

    def _silence(self, attempt: RunningAttempt, reason: str) -> None:
        attempt.silent = True
        if self._attempts.get(attempt.dispatch.task) is attempt:
            del self._attempts[attempt.dispatch.task]
        self._stop(attempt, FailureKind.KILLED, reason)

    def _give_up(self, attempt: RunningAttempt) -> None:
        if attempt.ended:
            return
        text = "It did not end when it was told to and was given up; its code may still run."
        report = attempt.failure(asyncio.CancelledError())
        self.ended(
            attempt, Failed(report.task, report.attempt, report.kind, f"{report.reason} {text}")
        )
        self.write_log(attempt.dispatch.agent, "warning", f"Task {report.task}: {text}")
        found = self._hosting.find(attempt.dispatch.agent)
        if found is not None:
            found[1].give_up(attempt)
        self.given_up += 1
        self._runs_on[attempt] = None
        self._host.call_later(OVERRUN_MS, partial(self._overran, attempt))
        if self.given_up == GIVEN_UP_MAX and self._on_worn_out is not None:
            self._on_worn_out()

    def _overran(self, attempt: RunningAttempt) -> None:
        if attempt in self._runs_on:
            attempt.overran = True
            self.overrunning += 1

    def _ended_late(self, attempt: RunningAttempt) -> None:
        if attempt in self._runs_on:
            del self._runs_on[attempt]
            self.overrunning -= attempt.overran

    def _end_processes(self, attempt: RunningAttempt) -> None:
        """End what an attempt started and did not end itself, as far as it can be told from what
        others started. A thread that waits for such a process goes on then, and ends."""
        stop, began = attempt.stop, attempt.started_at
        if self._end_started is None or began is None or stop is None:
            return
        others = [each for each in self._running if each is not attempt and each.started_at]
        shared = bool(others) or self.mail.is_serving
        if shared or stop.kind not in (FailureKind.TIMEOUT, FailureKind.KILLED):
            return
        count = self._end_started(self.loop.time() - began)
        if count:
            text = "1 process that it had started was left, and was ended."
            if count > 1:
                text = f"{count} processes that it had started were left, and were ended."
            self.write_log(attempt.dispatch.agent, "warning", f"{attempt.dispatch.task}: {text}")

    def _remember(self, task: str, attempt: int) -> None:
        """This attempt is over here, whenever its Dispatch is repeated."""
        self._finished[task] = attempt
        if len(self._finished) > FINISHED_MAX:
            for name in list(self._finished)[: FINISHED_MAX // 2]:
                del self._finished[name]

    def _signal(self, message: Message) -> None:
        if self._reporter is not None:
            self._reporter.signal(message)

    def _snapshot(self) -> list[RunningAttempt]:
        # The loop may add or remove one while another thread copies: then copy again.
        for _ in range(100):
            try:
                return list(self._attempts.values())
            except RuntimeError:
                continue
        return []


def _time_out_reason(attempt: RunningAttempt) -> str:
    return f"The attempt took longer than its limit of {attempt.dispatch.timeout_ms} ms."
