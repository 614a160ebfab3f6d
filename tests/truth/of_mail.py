"""Sources of what is told of mail: its events in the log, with what each message said."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.truth.checking import Among, At, Source
from tests.truth.origins import Table, iso, swarm_id
from visionflow.domain import mail_events as me


@dataclass
class Box:
    """What waits for one agent, what was taken and what is dead, by delivery id."""

    waiting: dict[int, Any] = field(default_factory=dict)
    dead: dict[int, tuple[Any, str, str, int]] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    """With when that was."""
    failed: set[int] = field(default_factory=set)


def boxes(at: At) -> dict[str, Box]:
    """As they were when the answer was there."""
    found: dict[str, Box] = {}
    for _, _, at_ms, event in at.swarm.events:
        if at_ms > at.after_ms:
            break
        if isinstance(event, me.MailSent) and event.first:
            number = event.first
            for agent in event.to:
                found.setdefault(agent, Box()).waiting[number] = event.letter
                number += 1
            for agent in event.full:
                dead = (event.letter, "inbox_full", "", at_ms)
                found.setdefault(agent, Box()).dead[number] = dead
                number += 1
        elif isinstance(event, me.MailTaken):
            for number in event.deliveries:
                del found[event.agent].waiting[number]
                found[event.agent].taken[number] = at_ms
        elif isinstance(event, me.MailFailed):
            box = found[event.agent]
            box.waiting = {
                event.again if number == event.delivery else number: letter
                for number, letter in box.waiting.items()
            }
            box.failed.add(event.again)
        elif isinstance(event, me.MailDead):
            box = found[event.agent]
            for number in event.deliveries:
                letter = box.waiting.pop(number)
                box.dead[number] = (letter, str(event.reason), event.note, at_ms)
    return found


def agent(at: At) -> str:
    """The agent that is meant, by id or name."""
    given = at.given["agentId"]
    return next(n for n, each in at.swarm.agents.items() if given in (n, each.spec.name))


def box(at: At) -> Box:
    return boxes(at).get(agent(at), Box())


def letter(at: At) -> Any:
    number, own = at.own["deliveryId"], box(at)
    return own.dead[number][0] if at.given.get("dead") else own.waiting[number]


def content(at: At) -> Any:
    body = letter(at).content.inline
    return None if body is None else msgspec.msgpack.decode(body)


def dead(place: int) -> Source:
    def source(at: At) -> Any:
        if not at.given.get("dead"):
            return None
        return box(at).dead[at.own["deliveryId"]][place] or None

    return source


def shown(at: At) -> Any:
    """One in its turn."""
    own = box(at)
    numbers = list(own.dead if at.given.get("dead") else own.waiting)
    most = at.given.get("limit", 50)
    return (numbers[-most:] if at.given.get("dead") else numbers[:most])[at.place[1]]


def again(at: At) -> Any:
    return None if at.given.get("dead") else at.own["deliveryId"] in box(at).failed


def taken(at: At) -> Any:
    """Of those given, one that left the inbox while this was answered."""
    own = box(at).taken
    given = [n for n in at.given["acknowledge"] if own.get(n, 0) >= at.before_ms - 1]
    return given[at.place[-1]]


def sent(at: At) -> Any:
    """The event of the message that the answer names."""
    return next(
        event
        for _, _, _, event in at.swarm.events
        if isinstance(event, me.MailSent) and event.letter.id == at.reply["messageId"]
    )


def message_id(at: At) -> Any:
    """Of one that was sent while this was answered, to who was meant."""
    return Among(
        *(
            event.letter.id
            for _, _, at_ms, event in at.swarm.events
            if isinstance(event, me.MailSent) and at.before_ms - 1 <= at_ms <= at.after_ms
            if not event.letter.answers
        )
    )


def listed(name: str) -> Source:
    return lambda at: getattr(sent(at), name)[at.place[-1]]


def answer(at: At) -> Any:
    for _, _, at_ms, event in at.swarm.events:
        if isinstance(event, me.MailSent) and event.letter.answers == at.reply["messageId"]:
            return at_ms, event.letter
    return None


def answered(at: At) -> Any:
    found = answer(at)
    return None if found is None else msgspec.msgpack.decode(found[1].content.inline)


def of(name: str) -> Source:
    return lambda at: getattr(letter(at), name)


def seconds(at: At) -> Any:
    found = answer(at)
    return None if found is None else iso(found[1].sent_ms)


def unanswered(at: At) -> Any:
    """By the letter's own times, or by what became of it."""
    if at.given.get("timeout") is None or answer(at) is not None:
        return None
    own = sent(at).letter
    for each in boxes(at).values():
        for letter, why, note, _ in each.dead.values():
            if letter.id == own.id and why != "expired":
                return f"It is a dead letter, {why}{f': {note}' if note else ''}."
    return f"No answer came within {(own.answer_by_ms - own.sent_ms) / 1_000:g} s."


POSTED: Table = {
    "swarmId": swarm_id,
    "messageId": message_id,
    "from": lambda at: sent(at).letter.sender,
    "external": lambda at: sent(at).letter.sender not in at.swarm.agents,
    "delivered[]": listed("to"),
}
COMMUNICATED: Table = {
    **POSTED,
    "withheld[]": listed("withheld"),
    "full[]": listed("full"),
}
REPLIED: Table = {**POSTED, "answer": answered, "answeredAt": seconds, "reason": unanswered}
INBOX: Table = {
    "swarmId": swarm_id,
    "agentId": agent,
    "messages[].deliveryId": shown,
    "messages[].messageId": of("id"),
    "messages[].from": of("sender"),
    "messages[].external": lambda at: letter(at).sender not in at.swarm.agents,
    "messages[].to": of("target"),
    "messages[].type": of("type"),
    "messages[].content": content,
    "messages[].sentAt": lambda at: iso(letter(at).sent_ms),
    "messages[].correlationId": lambda at: letter(at).correlation or None,
    "messages[].priority": of("priority"),
    "messages[].redelivered": again,
    "messages[].reason": dead(1),
    "messages[].note": dead(2),
    "messages[].deadAt": lambda at: iso(dead(3)(at)),
    "waiting": lambda at: len(box(at).waiting),
    "acknowledged[]": taken,
}
