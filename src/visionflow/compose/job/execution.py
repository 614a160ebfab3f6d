"""Carries out a run: opens its log, sees to it that agents and plan are in it, and waits.

Whether this is the first time or the fifth after a crash makes no difference: what the log has is
not handed in again. What comes of it is in `outputs`; what happened, in `story`.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from visionflow.adapters.files import FileBlobs
from visionflow.agents.plans import Plan
from visionflow.agents.report.view import RunView
from visionflow.agents.tools.text import write_whole
from visionflow.compose.embedded import Embedded
from visionflow.compose.job.coding import TimeLimit
from visionflow.compose.job.concluding import conclude
from visionflow.compose.job.events import Follower, source_of
from visionflow.compose.job.folder import FINISHED, Order, RunFolder
from visionflow.compose.job.outputs import (
    Outcome,
    outcome_of,
    status_of,
    summary_of,
    write_outputs,
)
from visionflow.compose.job.plan import spawns, submission, swarm_of
from visionflow.compose.job.planfile import plan_text, read_plan
from visionflow.compose.job.progress import (
    FIRST_S,
    JobProgress,
    OnProgress,
    Signals,
    first_lines,
)
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.compose.job.votes import due
from visionflow.compose.store import Store
from visionflow.domain import commands as c
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import ConfigError, Refused, UsageError, VisionFlowError
from visionflow.engine.state import Answer

POLL_S = 0.1
CLOSING_S_MAX = 12.0
"""Workers are given this long to end by themselves once the swarm is closed."""


def execute(
    folder: RunFolder, *, on_progress: OnProgress, stop: threading.Event, kill: threading.Event
) -> Outcome:
    """Carry the run out, or on from where it was interrupted; blocks until it ends.

    `stop`: end gracefully, the run can be taken up again. `kill`: do so at once. A finished run
    is not touched: its outcome is returned again.

    Raises:
        StoreInUse: another process is working on it.
        ConfigError: its plan.yaml is not the plan that it began with.
        UsageError: a server carries it out.
        VisionFlowError: the log failed. Nothing that was acknowledged is lost.
    """
    stored = folder.read_summary() if folder.read_record().status in FINISHED else None
    if stored is not None:
        return outcome_of(stored)
    order = folder.read_order()
    if order.served is not None:
        raise UsageError(
            f"The run {folder.run} belongs to the server of {order.served.store}.",
            hint="It goes on when that server runs: visionflow serve.",
        )
    if order.plan is None:
        return _blocked(folder, order)
    _check_plan(folder, order, order.plan)
    return _Execution(folder, order, order.plan, on_progress, stop, kill).run()


def _blocked(folder: RunFolder, order: Order) -> Outcome:
    """Say what is missing; nothing runs."""
    folder.events.touch()
    blobs = FileBlobs(folder.state / "blobs")
    outcome = outcome_of(
        summary_of(write_outputs(folder, order, Story(None), "blocked", blobs, Secrecy(folder)))
    )
    folder.write_summary(outcome.summary)
    folder.mark("blocked")
    return outcome


def _check_plan(folder: RunFolder, order: Order, plan: Plan) -> None:
    """A run follows the plan that it began with; one that was removed is written again."""
    if not folder.plan.exists():
        write_whole(folder.plan, plan_text(plan, order.workspace, str(folder.plan)).encode())
    found = read_plan(folder.plan).plan.digest
    if found != order.digest:
        raise ConfigError(
            f"{folder.plan} was changed since the run began: its digest is {found[:12]}, and the "
            f"run's is {order.digest[:12]}.",
            hint=f"Start a new run with `visionflow run {folder.plan}`, or remove the file to go "
            "on with the plan as it was.",
        )


class _Execution:
    """One process's work on one run."""

    def __init__(
        self,
        folder: RunFolder,
        order: Order,
        plan: Plan,
        on_progress: OnProgress,
        stop: threading.Event,
        kill: threading.Event,
    ) -> None:
        self._folder = folder
        self._order = order
        self._plan = plan
        self._on_progress = on_progress
        self._stop = stop
        self._kill = kill
        self._signals = Signals()
        self._secrecy = Secrecy(folder)
        self._view: RunView | None = None
        self._stale = True
        self._given_up: dict[str, None] = {}
        self._written = 0.0
        self._began = time.monotonic()
        self._time = TimeLimit(folder, order)
        self._embedded = Embedded(
            Store(folder.state), swarm_of(order), import_paths=order.import_paths
        )

    def run(self) -> Outcome:
        self._embedded.open()
        try:
            self._folder.mark("running")
            story = self._work()
        except BaseException:
            with suppress(VisionFlowError, OSError):
                self._folder.mark("interrupted")
            raise
        return self._conclude(story)

    def _work(self) -> Story:
        """From an open runtime to a closed one; the whole story."""
        try:
            follower = self._follow()
        except BaseException:
            self._end()
            raise
        try:
            self._hand_in(follower.story)
            self._wait(follower)
            if follower.story.ended:
                self._close_swarm(follower)
        finally:
            self._end()
            follower.catch_up()
            follower.close()
        return follower.story

    def _follow(self) -> Follower:
        source = source_of(self._folder, self._order)
        follower = Follower(source, self._folder.events, self._plan, self._secrecy)
        follower.catch_up()
        self._post(lambda: self._embedded.node.sessions.on_progress.append(self._signals.hear))
        self._write(follower.story)
        return follower

    def _hand_in(self, story: Story) -> None:
        """Agents and plan, each only if the log does not have it."""
        node, blobs = self._embedded.node, self._embedded.blobs
        if story.closed:
            return
        for spawn in spawns(self._order, node.intake.now_ms(), blobs):
            if spawn.spec.id not in story.agents:
                self._ask(spawn)
        self._time.look(story)
        if story.plan is None:
            now_ms = node.intake.now_ms()
            self._ask(submission(self._folder, self._order, self._plan, now_ms, blobs))

    def _wait(self, follower: Follower) -> None:
        story, interval_s = follower.story, self._order.supervision_ms / 1000
        looked = -interval_s
        self._vote(story)
        while not self._stop.is_set() and not self._kill.is_set():
            self._check()
            grown = follower.catch_up()
            self._stale = self._stale or grown
            self._time.look(story)
            if grown and self._vote(story):
                continue
            self._show(story)
            if story.over:
                return
            if time.monotonic() - looked >= interval_s:
                looked = time.monotonic()
                self._supervise(story)
            if not grown:
                self._stop.wait(POLL_S)

    def _supervise(self, story: Story) -> None:
        """Give up what cannot go on, and tell how the run stands."""
        for task, reason in story.stranded():
            if task not in self._given_up:
                self._given_up[task] = None
                self._give_up(task, reason)
        if self._stale:
            self._write(story)

    def _vote(self, story: Story) -> bool:
        """Have said what is due of the vote; whether the log has more of it now."""
        node, said = self._embedded.node, False
        for command in due(story, self._embedded.blobs, node.intake.now_ms()):
            try:
                self._ask(command)
            except Refused:
                continue  # The log has it already, or the member is gone: both are on record.
            said = True
        return said

    def _give_up(self, task: str, reason: str) -> None:
        now_ms = self._embedded.node.intake.now_ms()
        try:
            self._ask(c.CancelTask(now_ms=now_ms, task=task, reason=reason))
        except Refused:
            return  # It ended meanwhile.

    def _close_swarm(self, follower: Follower) -> None:
        """Have every agent and worker end, and see that they have."""
        now_ms = self._embedded.node.intake.now_ms()
        if not follower.story.closed:
            try:
                self._ask(c.CloseSwarm(now_ms=now_ms, reason="the run has ended"))
            except Refused:
                return
        until = time.monotonic() + CLOSING_S_MAX
        while follower.story.workers and time.monotonic() < until and not self._kill.is_set():
            self._check()
            if not follower.catch_up():
                self._stop.wait(POLL_S) if not self._stop.is_set() else self._kill.wait(POLL_S)

    def _end(self) -> None:
        """End the runtime; while workers take their time, `kill` still makes short work of it."""
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch_kill, args=(ended,), daemon=True)
        watcher.start()
        self._embedded.close(self._kill.is_set())
        ended.set()
        watcher.join()

    def _watch_kill(self, ended: threading.Event) -> None:
        while not ended.is_set():
            if self._kill.wait(POLL_S):
                self._post(lambda: self._embedded.node.children.close(_nothing, kill=True))
                return

    def _conclude(self, story: Story) -> Outcome:
        blobs = self._embedded.blobs
        return conclude(
            self._folder, self._order, story, status_of(story, blobs), blobs, self._secrecy
        )

    def _write(self, story: Story) -> None:
        """Write what is known by now, for whoever looks while the run goes on."""
        self._stale = False
        self._written = time.monotonic()
        blobs = self._embedded.blobs
        self._view = write_outputs(
            self._folder, self._order, story, "running", blobs, self._secrecy
        )
        self._folder.write_summary(summary_of(self._view))

    def _show(self, story: Story) -> None:
        """Show progress; the first findings are written as soon as they are there."""
        first = self._view is None or self._view.findings is None
        if self._stale and first and time.monotonic() - self._written > FIRST_S:
            self._write(story)
        counts = None if self._view is None else self._view.findings
        self._on_progress(
            JobProgress(
                story.phase,
                self._secrecy.known.cover(self._signals.lines(story)),
                time.monotonic() - self._began,
                None if counts is None else sum(counts.values()),
                () if self._view is None else first_lines(self._view),
            )
        )

    # The way in ----------------------------------------------------------------------------

    def _check(self) -> None:
        if self._embedded.failure is not None:
            raise self._embedded.failure

    def _post(self, call: Callable[[], None]) -> None:
        try:
            self._embedded.post(call)
        except RuntimeError:
            return  # Its loop has ended, and with it everything that the call was about.

    def _ask(self, command: AnyCommand) -> Answer:
        """Have a command decided; returns once that is durable.

        Raises:
            Refused: it was not accepted.
        """
        answers: list[Answer] = []
        answered = threading.Event()

        def answer(found: Answer) -> None:
            answers.append(found)
            answered.set()

        self._post(lambda: self._embedded.node.control.offer(command, answer, bounded=False))
        while not answered.wait(POLL_S):
            self._check()
        found = answers[0]
        if found.code is not None:
            raise Refused(found.message or found.code, code=found.code)
        return found


def _nothing() -> None:
    """Nobody waits for this."""
