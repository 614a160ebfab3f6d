"""What a log says of the mail between agents, and what must not happen to it: for `checkers`, and
as apart from the engine as those."""

from collections.abc import Iterator, Mapping
from typing import Any

from visionflow.testing.tasklines import AgentLine

Fact = dict[str, Any]
MAIL_KINDS = frozenset(
    {
        "mail_sent",
        "mail_refused",
        "mail_taken",
        "mail_failed",
        "mail_dead",
        "mail_handled",
        "mail_subscribed",
        "requests_forgotten",
    }
)
FAILURES_MAX = 3


class MailCheck:
    """Follows every delivery: it is in one inbox until it is taken or dead, and never again."""

    def __init__(self) -> None:
        self.boxes: dict[str, dict[int, str]] = {}
        """By agent, the deliveries that wait, with the message of each."""
        self.over: set[int] = set()
        """Deliveries that were taken, are dead, or came again under another id."""
        self.taken: list[tuple[int, str]] = []
        """(delivery, message) that were acknowledged."""
        self.taken_by: set[tuple[str, str]] = set()
        """(agent, message) that were."""
        self.requests: dict[str, tuple[str, ...]] = {}
        """Requests that wait for an answer, with who may give it."""
        self.answered: set[str] = set()
        self.sent: dict[str, int] = {}
        """By message, how many agents got it."""
        self.refused = 0
        self.places: dict[int, int] = {}
        """By delivery, the first id that its message had in that inbox: the order of sending."""
        self._last = 0
        self._failures: dict[int, int] = {}

    def event(self, kind: str, event: Fact, agents: Mapping[str, AgentLine]) -> Iterator[str]:
        """Fold an event; what is wrong with it."""
        if kind == "mail_sent":
            yield from self._sent(event, agents)
        elif kind == "mail_refused":
            self.refused += 1
            if not event["rule"]:
                yield f"message {event['id']} is refused and nobody is told why"
        elif kind in ("mail_taken", "mail_dead"):
            yield from self._leave(kind, event)
        elif kind == "mail_failed":
            yield from self._failed(event)
        elif kind == "requests_forgotten":
            for name in event["requests"]:
                if self.requests.pop(name, None) is None:
                    yield f"request {name} is forgotten and was none"
                self.answered.discard(name)

    def _sent(self, event: Fact, agents: Mapping[str, AgentLine]) -> Iterator[str]:
        letter, to = event["letter"], event.get("to", ())
        name = letter["id"]
        asks = letter.get("answer_by_ms", 0)
        if name in self.sent and not asks:
            yield f"message {name} is sent twice"
        if asks and name in self.requests:
            yield f"request {name} is sent again before its time is over"
        self.sent[name] = len(to)
        answers = letter.get("answers", "")
        if answers:
            if letter["sender"] not in self.requests.get(answers, ()):
                yield f"{letter['sender']} answers {answers} and was not asked"
            if answers in self.answered:
                yield f"request {answers} is answered twice"
            self.answered.add(answers)
            return
        number = event["first"]
        for agent in to:
            if agent not in agents or agents[agent].status in ("failed", "terminated"):
                yield f"message {name} is for {agent}, which is not there"
            yield from self._new(number)
            self.places[number] = number
            self.boxes.setdefault(agent, {})[number] = name
            number += 1
        for _ in event.get("full", ()):
            yield from self._new(number)
            self.over.add(number)
            number += 1
        if asks:
            self.requests[name] = tuple(to)

    def _new(self, number: int) -> Iterator[str]:
        if number != self._last + 1:
            yield f"delivery {number} comes after {self._last}"
        self._last = number

    def _leave(self, kind: str, event: Fact) -> Iterator[str]:
        box = self.boxes.get(event["agent"], {})
        if not event["deliveries"]:
            yield f"{kind} of nothing"
        for number in event["deliveries"]:
            message = box.pop(number, None)
            if message is None:
                was = "is over already" if number in self.over else "was never there"
                yield f"{kind}: delivery {number} of {event['agent']} {was}"
                continue
            self.over.add(number)
            self._failures.pop(number, None)
            if kind == "mail_taken":
                self.taken.append((number, message))
                self.taken_by.add((event["agent"], message))

    def _failed(self, event: Fact) -> Iterator[str]:
        agent, number, again = event["agent"], event["delivery"], event["again"]
        box = self.boxes.get(agent, {})
        if number not in box:
            yield f"delivery {number} of {agent} failed and does not wait"
            return
        failures = self._failures.pop(number, 0) + 1
        if event["failures"] != failures or failures > FAILURES_MAX:
            yield f"delivery {number} failed {failures} times and the log says {event['failures']}"
        yield from self._new(again)
        self.over.add(number)
        self._failures[again] = failures
        self.places[again] = self.places[number]
        self.boxes[agent] = {
            again if each == number else each: message for each, message in box.items()
        }

    def waiting(self) -> int:
        """Deliveries that wait in all inboxes."""
        return sum(len(box) for box in self.boxes.values())
