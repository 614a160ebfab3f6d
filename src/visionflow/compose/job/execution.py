"""Carries out a run: opens its log, sees to it that agents and plan are in it, and waits.

Whether this is the first time or the fifth after a crash makes no difference: what the log has is
not handed in again. What comes of it is in `outputs`; what happened, in `story`.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from visionflow.agents.workspace.files import remove_tree
from visionflow.compose.embedded import Embedded, Store
from visionflow.compose.job.events import Follower
from visionflow.compose.job.folder import FINISHED, Order, RunFolder
from visionflow.compose.job.goals import missing_for
from visionflow.compose.job.outputs import (
    Outcome,
    findings_so_far,
    outcome_of,
    status_of,
    write_outputs,
)
from visionflow.compose.job.plan import spawns, submission, swarm_of
from visionflow.compose.job.progress import JobProgress, OnProgress, Signals
from visionflow.compose.job.story import Story
from visionflow.domain import commands as c
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import Refused, VisionFlowError, WorkspaceError
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
        VisionFlowError: the log failed. Nothing that was acknowledged is lost.
    """
    stored = folder.read_summary() if folder.read_record().status in FINISHED else None
    if stored is not None:
        return outcome_of(stored)
    order = folder.read_order()
    missing = missing_for(order.goal)
    if missing is not None:
        return _blocked(folder, order, missing)
    return _Execution(folder, order, on_progress, stop, kill).run()


def _blocked(folder: RunFolder, order: Order, missing: str) -> Outcome:
    """Say what is missing; nothing runs."""
    folder.events.touch()
    outcome = write_outputs(folder, order, Story(), "blocked", (f"Blocked: {missing}",))
    folder.write_summary(outcome.summary)
    folder.mark("blocked")
    return outcome


class _Execution:
    """One process's work on one run."""

    def __init__(
        self,
        folder: RunFolder,
        order: Order,
        on_progress: OnProgress,
        stop: threading.Event,
        kill: threading.Event,
    ) -> None:
        self._folder = folder
        self._order = order
        self._on_progress = on_progress
        self._stop = stop
        self._kill = kill
        self._signals = Signals()
        self._findings: int | None = None
        self._began = time.monotonic()
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
        store = self._embedded.store
        follower = Follower(store.log, self._order.run, self._folder.events)
        follower.catch_up()
        self._post(lambda: self._embedded.node.sessions.on_progress.append(self._signals.hear))
        write_outputs(self._folder, self._order, follower.story, "running")
        return follower

    def _hand_in(self, story: Story) -> None:
        """Agents and plan, each only if the log does not have it."""
        node, blobs = self._embedded.node, self._embedded.blobs
        if story.closed:
            return
        for spawn in spawns(self._order, node.intake.now_ms(), blobs):
            if spawn.spec.id not in story.agents:
                self._ask(spawn)
        if story.plan is None:
            self._ask(submission(self._folder, self._order, node.intake.now_ms(), blobs))

    def _wait(self, follower: Follower) -> None:
        told: dict[str, None] = {}
        while not self._stop.is_set() and not self._kill.is_set():
            self._check()
            grown = follower.catch_up()
            story = follower.story
            self._show(story, grown)
            if story.ended:
                return
            for task, reason in story.stranded():
                if task not in told:
                    told[task] = None
                    self._give_up(task, reason)
            if not grown:
                self._stop.wait(POLL_S)

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
        status = status_of(story)
        outcome = write_outputs(self._folder, self._order, story, status)
        if status in FINISHED:
            self._folder.write_summary(outcome.summary)
            _clear(self._folder)
        self._folder.mark(status)
        return outcome

    def _show(self, story: Story, grown: bool) -> None:
        if grown:
            self._findings = findings_so_far(story, self._embedded.blobs)
        elapsed, lines = time.monotonic() - self._began, self._signals.lines(story)
        self._on_progress(JobProgress(story.phase, lines, elapsed, self._findings))

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


def _clear(folder: RunFolder) -> None:
    """Remove copies of the workspace and tools' scratch; log and repository stay."""
    for left in (folder.state / "scratch", folder.state / "repository" / "worktrees"):
        with suppress(WorkspaceError, OSError):
            remove_tree(left)


def _nothing() -> None:
    """Nobody waits for this."""
