"""What one attempt asks of its swarm: locks, circuits, tasks of its own making, results.

Each request is kept and repeated over a broken connection until it is answered, as steps are.
Requests for locks are numbered: a frame that comes twice takes and gives back nothing twice.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from visionflow.agents.asking import Delegation, in_words
from visionflow.domain.errors import (
    AwaitedTaskFailed,
    CircuitOpenError,
    StaleAttempt,
    UsageError,
    refusal,
)
from visionflow.domain.limits import CIRCUIT_NAME_CHARS_MAX, LOCK_NAME_CHARS_MAX
from visionflow.domain.messages import (
    CircuitAnswer,
    CircuitAsked,
    DelegateAnswer,
    Delegated,
    InboxAnswer,
    InboxAsked,
    LockAnswer,
    LockAsked,
    LockDropped,
    MailAnswer,
    MailAsked,
    MailDone,
    MailReply,
    Outcome,
    ReplyAwaited,
    TeamAnswer,
    TeamAsked,
    TopicWanted,
    WaitAnswer,
    WaitAsked,
    WaitDropped,
)
from visionflow.domain.tasks import DEFAULT_RETRY, NOTHING, Payload, TaskSpec, TaskStatus
from visionflow.domain.teams import TeamView
from visionflow.ports.blobs import Blobs
from visionflow.worker import values
from visionflow.worker.telling import sendable

REASON_CHARS_MAX = 500
CAUSES_MAX = 20
"""Of an error, one behind the other, that are looked at."""
CALLED = ("provider:", "tool:")
"""What the names of circuits begin with."""
Request = (
    LockAsked
    | WaitAsked
    | Delegated
    | CircuitAsked
    | TeamAsked
    | MailAsked
    | MailDone
    | TopicWanted
    | ReplyAwaited
    | InboxAsked
)
"""What is answered."""
Notice = LockDropped | WaitDropped | Outcome
"""What is not."""
MailedAnswer = MailAnswer | MailReply | InboxAnswer
AskedAnswer = LockAnswer | WaitAnswer | DelegateAnswer | CircuitAnswer | TeamAnswer | MailedAnswer


class AskingHost(Protocol):
    """What asking needs of the attempt around it."""

    @property
    def blobs(self) -> Blobs:
        """Where large values go."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    async def request(self, key: str, message: Request) -> Any:
        """The answer, which carries this key.

        Raises:
            StaleAttempt: the attempt was stopped.
        """
        ...

    def notify(self, message: Notice) -> None:
        """Tell something that needs no answer and must arrive."""
        ...

    def wait_for(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What the coroutine comes to, from a thread.

        Raises:
            UsageError: this is the loop's own thread.
        """
        ...


def key_of(answer: AskedAnswer) -> str:
    """The key of the request that is answered."""
    match answer:
        case LockAnswer():
            return f"\0lock {answer.number}"
        case WaitAnswer():
            return f"\0wait {answer.on}"
        case DelegateAnswer():
            return f"\0delegate {answer.delegated}"
        case CircuitAnswer():
            return f"\0circuit {answer.number}"
        case TeamAnswer():
            return f"\0team {answer.number}"
        case MailAnswer():
            return f"\0mail {answer.id}"
        case MailReply():
            return f"\0mail reply {answer.request}"
        case InboxAnswer():
            return f"\0mail inbox {answer.number}"


class _Wait:
    """One request for a result, of all in the attempt that wait for the same."""

    def __init__(self, answered: "asyncio.Task[WaitAnswer]") -> None:
        self.answered = answered
        self.waiting = 0


class AttemptAsking:
    """Satisfies `agents.asking.Asking`."""

    def __init__(self, host: AskingHost, task: str, attempt: int, priority: int) -> None:
        """`priority`: of the task, for those that it delegates."""
        self._host = host
        self._task = task
        self._attempt = attempt
        self._priority = priority
        self._number = 0
        self._locks: dict[str, int] = {}
        """Locks that are held or asked for, with the number of the request."""
        self._waits: dict[str, _Wait] = {}
        self._ordinals: dict[str, int] = {}
        self._failed: tuple[str, BaseException] | None = None
        """The circuit of the last call, where that failed, and with what."""

    def in_thread(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """See `Asking`."""
        return self._host.wait_for(call)

    # Locks -----------------------------------------------------------------------------------

    async def acquire(self, lock: str) -> None:
        """See `Asking`."""
        _check_name(lock, LOCK_NAME_CHARS_MAX, "A lock's name")
        if lock in self._locks:
            raise UsageError(
                f"This attempt holds lock {lock!r} or waits for it already.",
                hint="A lock is held by a whole attempt; within one, use an asyncio.Lock.",
            )
        number = self._locks[lock] = self._next()
        granted = False
        try:
            asked = LockAsked(self._task, self._attempt, lock, number)
            answer: LockAnswer = await self._host.request(f"\0lock {number}", asked)
            _must_be_fresh(answer.code, answer.reason)
            if not answer.granted:
                raise refusal(answer.code, answer.reason)
            granted = True
        finally:
            if not granted:
                self.release(lock)

    def release(self, lock: str) -> None:
        """See `Asking`. Giving back what is not held changes nothing."""
        number = self._locks.pop(lock, None)
        if number is not None:
            self._host.notify(LockDropped(self._task, self._attempt, lock, number))

    def _next(self) -> int:
        self._number += 1
        return self._number

    # Circuits --------------------------------------------------------------------------------

    async def try_circuit(self, circuit: str) -> None:
        """See `Asking`."""
        _check_name(circuit, CIRCUIT_NAME_CHARS_MAX, "A circuit's name")
        if not circuit.startswith(CALLED):
            raise UsageError(
                f"{circuit!r} names no circuit.", hint="Call it provider:NAME or tool:NAME."
            )
        number = self._next()
        asked = CircuitAsked(self._task, self._attempt, number, circuit)
        answer: CircuitAnswer = await self._host.request(f"\0circuit {number}", asked)
        if not answer.allowed:
            raise CircuitOpenError(
                answer.reason, circuit=circuit, wait_ms=max(answer.retry_after_ms, 1)
            )

    def outcome(
        self, circuit: str, succeeded: bool | None, error: BaseException | None = None
    ) -> None:
        """See `Asking`."""
        self._failed = None if error is None else (circuit, error)
        reason = sendable(in_words(error), REASON_CHARS_MAX)
        self._host.notify(Outcome(circuit, succeeded, reason))

    def circuit_of(self, error: BaseException | None) -> str:
        """The circuit whose last call failed with this error, or with what it comes from."""
        seen = 0
        while self._failed is not None and error is not None and seen < CAUSES_MAX:
            if error is self._failed[1]:
                return self._failed[0]
            error, seen = error.__cause__ or error.__context__, seen + 1
        return ""

    # Teams -----------------------------------------------------------------------------------

    async def team(self) -> TeamView:
        """See `Asking`."""
        number = self._next()
        asked = TeamAsked(self._task, self._attempt, number)
        answer: TeamAnswer = await self._host.request(f"\0team {number}", asked)
        return answer.team

    # Tasks of its own making -----------------------------------------------------------------

    async def delegate(self, order: Delegation) -> str:
        """See `Asking`."""
        spec = await self._spec(order)
        asked = Delegated(self._task, self._attempt, spec)
        answer: DelegateAnswer = await self._host.request(f"\0delegate {spec.id}", asked)
        _must_be_fresh(answer.code, answer.reason)
        if answer.code:
            raise refusal(answer.code, answer.reason)
        return spec.id

    async def _spec(self, order: Delegation) -> TaskSpec:
        """Its id is made of what it is: a later attempt that delegates the same gets the same
        task, and the second one of the same kind in an attempt is another."""
        what = f"A delegated task of type {order.type!r}"
        given = (order.input, order.config)
        body = values.encode_sorted(given, what)
        retry = order.retry or DEFAULT_RETRY
        parts = (
            order.type,
            order.description,
            order.capabilities,
            order.agent_type,
            order.agent,
            order.depends_on,
        )
        content = hashlib.sha256(body + values.encode_sorted(parts, what)).hexdigest()
        ordinal = self.ordinal(content)
        name = hashlib.sha256(f"{self._task}\0{content}\0{ordinal}".encode()).hexdigest()[:24]
        return TaskSpec(
            id=f"task_{name}",
            type=order.type,
            description=order.description,
            input=await self._payload(order.input, what),
            config=await self._payload(order.config, what),
            capabilities=tuple(order.capabilities),
            agent_type=order.agent_type,
            agent=order.agent,
            priority=self._priority if order.priority is None else int(order.priority),
            timeout_ms=order.timeout_ms,
            retry=retry,
            depends_on=tuple(order.depends_on),
        )

    def ordinal(self, content: str) -> int:
        """How often the same was asked in this attempt, this time included."""
        found = self._ordinals[content] = self._ordinals.get(content, 0) + 1
        return found

    async def _payload(self, value: object, what: str) -> Payload:
        if value is None:
            return NOTHING
        body = values.encode(value, what)
        if values.is_small(body):
            return Payload(inline=body)
        return await self._host.offload(lambda: values.store(body, self._host.blobs))

    async def result_of(self, task: str) -> Any:
        """See `Asking`."""
        answer = await self._answer_for(task)
        _must_be_fresh(answer.code, answer.reason)
        if answer.code:
            raise refusal(answer.code, answer.reason)
        if answer.status != TaskStatus.COMPLETED:
            why = f": {answer.reason}" if answer.reason else ""
            raise AwaitedTaskFailed(
                f"Task {task}, whose result is waited for, is {answer.status}{why}",
                task=task,
                reason=answer.reason,
            )
        blobs = self._host.blobs
        if answer.result.blob is None:
            return values.load(answer.result, blobs)
        return await self._host.offload(lambda: values.load(answer.result, blobs))

    async def _answer_for(self, task: str) -> WaitAnswer:
        wait = self._waits.get(task)
        if wait is None:
            asked = WaitAsked(self._task, self._attempt, task)
            request = self._host.request(f"\0wait {task}", asked)
            wait = self._waits[task] = _Wait(asyncio.ensure_future(request))
        wait.waiting += 1
        try:
            return await asyncio.shield(wait.answered)
        finally:
            wait.waiting -= 1
            if not wait.waiting:
                del self._waits[task]
                wait.answered.cancel()
                self._host.notify(WaitDropped(self._task, self._attempt, task))


def _check_name(name: str, chars_max: int, what: str) -> None:
    if not name or len(name) > chars_max:
        raise UsageError(f"{what} has 1 to {chars_max} characters: {name!r:.50}.")


def _must_be_fresh(code: str, reason: str) -> None:
    if code == StaleAttempt.code:
        raise StaleAttempt(reason or "Another attempt has begun.")
