"""The box of one agent: messages handed over one at a time and in order, beside its tasks.

A delivery is handed over once in the life of an agent. One that its handler failed with comes again
under another delivery id, and until it is dealt with nothing else is handed over.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Protocol

from msgspec.structs import replace

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.messages import Message, message_of
from visionflow.agents.messaging import UnhandledMessage, is_coroutine_handler
from visionflow.domain.limits import INBOX_MAX
from visionflow.domain.mail import Letter
from visionflow.domain.messages import MailAnswer, MailDone, MailHanded, MailTrouble
from visionflow.domain.messages import Message as Wire
from visionflow.ports.blobs import Blobs
from visionflow.worker import values
from visionflow.worker.telling import REASON_CHARS_MAX, sendable, told

HANDLER_S = 60.0
"""A handler that takes longer has failed."""
RETRY_S = 0.5
"""After a failure, and as much more after each further one."""
KNOWN_MAX = 4 * INBOX_MAX
"""Deliveries that are remembered; more than an inbox can hold that are not acknowledged."""


class Handling:
    """A message that an agent is dealing with: what it sends meanwhile is known by it."""

    def __init__(self, delivery: int) -> None:
        self.delivery = delivery
        self.ordinals: dict[str, int] = {}


current_handling: ContextVar[Handling] = ContextVar("visionflow_handling")


class Clerk(Protocol):
    """What a box needs of its process."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this process."""
        ...

    @property
    def blobs(self) -> Blobs:
        """Where large contents are."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    def send(self, message: Wire) -> None:
        """Report something that must arrive."""
        ...

    def write_log(self, agent: str | None, level: str, text: str) -> None:
        """A line for the log of an agent."""
        ...


Ask = Callable[[str, Wire], Awaitable[Any]]


class Mailbox:
    """The messages of one agent in this process, and the one that it deals with now."""

    def __init__(self, agent: str, clerk: Clerk, ask: Ask, number: Callable[[], int]) -> None:
        """`ask` has a question answered; `number` gives each of them one."""
        self._name = agent
        self._clerk = clerk
        self._ask = ask
        self._number = number
        self._agent: BaseAgent | None = None
        self._waiting: dict[int, MailHanded] = {}
        self._known: dict[int, None] = {}
        self._serving: asyncio.Task[None] | None = None
        self._done: list[int] = []

    @property
    def is_serving(self) -> bool:
        """Whether the agent's code deals with a message now."""
        return self._serving is not None

    def open(self, agent: BaseAgent) -> None:
        """The agent is there, and deals with its messages from now on."""
        self._agent = agent
        self._serve_soon()

    def close(self) -> None:
        """The agent is not there any more. What it was dealing with is handed to the next."""
        self._agent = None
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()

    def put(self, handed: MailHanded) -> None:
        """A message came, perhaps once more."""
        if handed.delivery in self._known:
            return
        self._remember(handed.delivery)
        self._waiting[handed.delivery] = handed
        self._serve_soon()

    def _remember(self, delivery: int) -> None:
        self._known[delivery] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def _serve_soon(self) -> None:
        if self._waiting and self._agent is not None and self._serving is None:
            self._serving = self._clerk.loop.create_task(self._serve(self._agent))

    def _next(self) -> MailHanded:
        """Of each sender the first that it sent; of these the most urgent one."""
        first: dict[str, MailHanded] = {}
        for handed in self._waiting.values():
            first.setdefault(handed.letter.sender, handed)
        chosen = min(first.values(), key=lambda each: (each.letter.priority, each.delivery))
        return self._waiting.pop(chosen.delivery)

    async def _serve(self, agent: BaseAgent) -> None:
        while self._waiting and self._agent is agent:
            handed = self._next()
            try:
                await self._deal(agent, handed)
            except asyncio.CancelledError:
                if self._agent is agent:
                    raise
                return
            # Others have their turn too, whatever this agent gets.
            await asyncio.sleep(0)
        if self._agent is agent:
            self._serving = None
            self._serve_soon()

    async def _deal(self, agent: BaseAgent, handed: MailHanded) -> None:
        while True:
            try:
                failure = await self._hand_over(agent, handed)
            except asyncio.CancelledError:
                again = replace(handed, redelivered=True)
                self._waiting = {handed.delivery: again, **self._waiting}
                raise
            if failure is None:
                self._acknowledge(handed.delivery)
                return
            reason = failure[0][:REASON_CHARS_MAX]
            name = f"trouble {self._name} {self._number()}"
            trouble = MailTrouble(name, self._name, handed.delivery, reason, failure[1])
            answer: MailAnswer = await self._ask(name, trouble)
            if not answer.count:
                return
            failures = handed.failures + 1
            self._remember(answer.count)
            self._waiting.pop(answer.count, None)
            handed = replace(handed, delivery=answer.count, redelivered=True, failures=failures)
            await asyncio.sleep(RETRY_S * failures)

    def _acknowledge(self, delivery: int) -> None:
        if not self._done:
            self._clerk.loop.call_soon(self._flush)
        self._done.append(delivery)

    def _flush(self) -> None:
        done, self._done = tuple(self._done), []
        self._clerk.send(MailDone(self._name, done))

    async def _hand_over(self, agent: BaseAgent, handed: MailHanded) -> tuple[str, bool] | None:
        """`None`: the agent has dealt with it. Else why not, and whether that is for good."""
        current_handling.set(Handling(handed.delivery))
        limit = asyncio.timeout(HANDLER_S)
        try:
            async with limit:
                message = await read(
                    self._clerk, handed.letter, handed.delivery, handed.redelivered
                )
                await self._call(agent, message)
        except asyncio.CancelledError:
            raise
        except TimeoutError as error:
            if limit.expired():
                return f"handle_message took longer than {HANDLER_S:g} s", False
            return told(error), False
        except (PermanentFailure, UnhandledMessage) as error:
            return sendable(error), True
        except Exception as error:
            return told(error), False
        return None

    async def _call(self, agent: BaseAgent, message: Message) -> None:
        if is_coroutine_handler(agent) or not agent.blocking:
            found = agent.handle_message(message)
        else:
            found = await self._clerk.offload(lambda: agent.handle_message(message))
        if inspect.isawaitable(found):
            await found


async def read(clerk: Clerk, letter: Letter, delivery: int, redelivered: bool) -> Message:
    """A message as an agent gets it.

    Raises:
        BlobMissing: its content is kept in a blob that is not there.
    """
    blobs = clerk.blobs
    if letter.content.blob is None:
        content = values.load(letter.content, blobs)
    else:
        content = await clerk.offload(lambda: values.load(letter.content, blobs))
    return message_of(letter, content, delivery, redelivered)
