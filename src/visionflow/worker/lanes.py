"""How the attempts of one agent get their turn: in the loop, as coroutines, or on threads.

A lane keeps to the agent's `tasks_max` and goes on past an attempt that was given up. What is
reported of an attempt is for the executor, which hears of each end through `ended`.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from visionflow.agents.base import BaseAgent, current_attempt
from visionflow.agents.task import Task
from visionflow.domain.messages import Failed, Result
from visionflow.domain.tasks import Payload
from visionflow.worker import values
from visionflow.worker.attempt import RunningAttempt, small_payload
from visionflow.worker.threads import Threads

TURN_S = 0.005
"""Attempts that run in the loop itself give way to others after this much time."""


class Lane(Protocol):
    """The attempts of one agent."""

    def offer(self, attempt: RunningAttempt) -> None:
        """Run it when its turn comes. One that ended while it waited is passed over."""
        ...

    def give_up(self, attempt: RunningAttempt) -> None:
        """It does not end: go on without it. Harmless when it has ended."""
        ...

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """Take it out again if it has not begun, and will not; whether that is so."""
        ...


class Desk(Protocol):
    """What a lane needs of the executor."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this process."""
        ...

    @property
    def threads(self) -> Threads:
        """Where blocking calls go."""
        ...

    def began(self, attempt: RunningAttempt) -> None:
        """Its code starts running now. In the loop."""
        ...

    def ended(self, attempt: RunningAttempt, message: Result | Failed) -> None:
        """Its code is done. In the loop."""
        ...


def lane_for(agent: BaseAgent, tasks_max: int, desk: Desk) -> Lane:
    """The kind of lane that the agent's `process_task` asks for."""
    if inspect.iscoroutinefunction(agent.process_task):
        return CoroutineLane(agent, tasks_max, desk)
    return ThreadLane(agent, tasks_max, desk) if agent.blocking else LoopLane(agent, desk)


def taken_out(attempt: RunningAttempt, waiting: deque[RunningAttempt]) -> bool:
    """Take an attempt out of a line, in one step as threads see it; whether it stood there."""
    try:
        waiting.remove(attempt)
    except ValueError:
        return False
    return True


def _result(attempt: RunningAttempt, payload: Payload, began: float, now: float) -> Result:
    dispatch = attempt.dispatch
    return Result(dispatch.task, dispatch.attempt, payload, int((now - began) * 1e6))


class Works(Protocol):
    """What a lane of coroutines needs of an agent."""

    @property
    def process_task(self) -> Callable[[Task], Any]:
        """A coroutine function."""
        ...


class CoroutineLane:
    """An agent with `async def process_task`: a coroutine an attempt."""

    def __init__(self, agent: Works, tasks_max: int, desk: Desk) -> None:
        self._agent = agent
        self._tasks_max = tasks_max
        self._desk = desk
        self._waiting: deque[RunningAttempt] = deque()
        self._running: dict[RunningAttempt, None] = {}

    def offer(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        self._waiting.append(attempt)
        self._start_next()

    def give_up(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        if self._running.pop(attempt, 0) is None:
            self._start_next()

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """See `Lane`."""
        return taken_out(attempt, self._waiting)

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._tasks_max:
            attempt = self._waiting.popleft()
            if not attempt.ended:
                self._running[attempt] = None
                self._desk.began(attempt)
                attempt.task_handle = self._desk.loop.create_task(self._run(attempt))

    async def _run(self, attempt: RunningAttempt) -> None:
        clock = self._desk.loop.time
        began = clock()
        try:
            attempt.enter()
            if attempt.dispatch.suspect:
                await attempt.confirm()
            if attempt.reads_blobs():
                task = await attempt.offload(attempt.input)
            else:
                task = attempt.input()
            value = await self._agent.process_task(task)
            payload = await _stored(attempt, attempt.encoded(value))
            message = _finished(attempt, payload, began, clock())
        except BaseException as error:
            message = attempt.failure(error)
        self._desk.ended(attempt, message)
        self.give_up(attempt)


async def _stored(attempt: RunningAttempt, body: bytes) -> Payload:
    small = small_payload(body)
    if small is not None:
        return small
    return await attempt.offload(lambda: values.store(body, attempt.blobs))


def _finished(
    attempt: RunningAttempt, payload: Payload, began: float, now: float
) -> Result | Failed:
    """A result that comes although the attempt was told to stop is none."""
    if attempt.stop is not None:
        return attempt.failure(asyncio.CancelledError())
    return _result(attempt, payload, began, now)


class LoopLane:
    """An agent whose plain `process_task` takes an instant: many attempts in a turn of the loop.

    Nothing can stop one that does not return; the process is then ended from outside.
    """

    def __init__(self, agent: BaseAgent, desk: Desk) -> None:
        self._agent = agent
        self._desk = desk
        self._waiting: deque[RunningAttempt] = deque()

    def offer(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        if not self._waiting:
            self._desk.loop.call_soon(self._turn)
        self._waiting.append(attempt)

    def give_up(self, attempt: RunningAttempt) -> None:
        """See `Lane`. There is nothing to go on without."""

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """See `Lane`."""
        return taken_out(attempt, self._waiting)

    def _turn(self) -> None:
        clock = self._desk.loop.time
        until = clock() + TURN_S
        while self._waiting:
            attempt = self._waiting.popleft()
            if attempt.ended:
                continue
            self._desk.began(attempt)
            if attempt.reads_blobs() or attempt.dispatch.suspect:
                attempt.task_handle = self._desk.loop.create_task(self._slowly(attempt))
            else:
                self._quickly(attempt)
            if clock() > until:
                break
        if self._waiting:
            self._desk.loop.call_soon(self._turn)

    def _quickly(self, attempt: RunningAttempt) -> None:
        clock = self._desk.loop.time
        began = clock()
        mark = current_attempt.set(attempt)
        try:
            body = attempt.encoded(self._agent.process_task(attempt.input()))
            payload = small_payload(body)
            if payload is None:
                took = clock() - began
                attempt.task_handle = self._desk.loop.create_task(self._store(attempt, body, took))
                return
            message = _finished(attempt, payload, began, clock())
        except BaseException as error:
            message = attempt.failure(error)
        finally:
            current_attempt.reset(mark)
        self._desk.ended(attempt, message)

    async def _slowly(self, attempt: RunningAttempt) -> None:
        clock = self._desk.loop.time
        began = clock()
        try:
            attempt.enter()
            if attempt.dispatch.suspect:
                await attempt.confirm()
            task = await attempt.offload(attempt.input)
            body = attempt.encoded(self._agent.process_task(task))
            message = _finished(attempt, await _stored(attempt, body), began, clock())
        except BaseException as error:
            message = attempt.failure(error)
        self._desk.ended(attempt, message)

    async def _store(self, attempt: RunningAttempt, body: bytes, took: float) -> None:
        try:
            attempt.enter()
            message = _finished(attempt, await _stored(attempt, body), 0.0, took)
        except BaseException as error:
            message = attempt.failure(error)
        self._desk.ended(attempt, message)


class ThreadLane:
    """An agent whose `process_task` blocks. A thread takes one attempt after the other."""

    def __init__(self, agent: BaseAgent, tasks_max: int, desk: Desk) -> None:
        self._agent = agent
        self._tasks_max = tasks_max
        self._desk = desk
        self.waiting: deque[RunningAttempt] = deque()
        """Taken from by the threads, so each attempt goes to one of them."""
        self._servers: dict[_Server, None] = {}

    def offer(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        self.waiting.append(attempt)
        self._serve()

    def give_up(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        for server in list(self._servers):
            if server.current is attempt:
                server.given_up = True
                del self._servers[server]
        self._serve()

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """See `Lane`. A thread that takes from the same line gets it, or this does."""
        return taken_out(attempt, self.waiting)

    def left(self, server: "_Server") -> None:
        """A thread found nothing more to do."""
        self._servers.pop(server, None)
        self._serve()

    def _serve(self) -> None:
        if self.waiting and len(self._servers) < self._tasks_max:
            server = _Server(self, self._agent, self._desk)
            self._servers[server] = None
            self._desk.threads.start(server.serve)


class _Server:
    """One thread, for as long as the agent has something to do."""

    def __init__(self, lane: ThreadLane, agent: BaseAgent, desk: Desk) -> None:
        self.current: RunningAttempt | None = None
        self.given_up = False
        self._lane = lane
        self._agent = agent
        self._desk = desk

    def serve(self) -> None:
        """Runs on the thread. It never raises."""
        threads = self._desk.threads
        while not self.given_up:
            try:
                attempt = self._lane.waiting.popleft()
            except IndexError:
                break
            if attempt.ended:
                continue
            self.current = attempt
            self._one(attempt)
            self.current = None
        threads.post(lambda: self._lane.left(self))

    def _one(self, attempt: RunningAttempt) -> None:
        desk, clock = self._desk, self._desk.loop.time
        began = clock()
        if attempt.dispatch.announce:
            desk.threads.post(lambda: desk.began(attempt))
        else:
            attempt.started_at = began
        mark = current_attempt.set(attempt)
        try:
            if attempt.dispatch.suspect:
                attempt.confirm_in_thread()
            body = attempt.encoded(self._agent.process_task(attempt.input()))
            payload = values.store(body, attempt.blobs) if body else Payload()
            message = _finished(attempt, payload, began, clock())
        except BaseException as error:
            message = attempt.failure(error)
        finally:
            current_attempt.reset(mark)
        desk.threads.post(lambda: desk.ended(attempt, message))
