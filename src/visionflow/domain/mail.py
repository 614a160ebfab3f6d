"""Mail: messages between agents, whom they are for, and why one of them is dead."""

from enum import StrEnum

import msgspec

from visionflow.domain.tasks import NOTHING, Payload

DIRECT = "direct"
"""The type of a message that states none."""
EVERYBODY = "all"
BY_TYPE, BY_CAPABILITY, BY_SWARM, BY_TOPIC = "type:", "capability:", "swarm:", "topic:"
"""What a target begins with that is no single agent."""


class Letter(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A message as it was sent, whoever it is for."""

    id: str
    sender: str
    """The id of an agent, or the name that somebody outside gave."""
    target: str
    """As it was said: an agent, `all`, `type:T`, `capability:C`, `swarm:ID` or `topic:NAME`."""
    sent_ms: int
    type: str = DIRECT
    content: Payload = NOTHING
    expires_ms: int = 0
    """When it is of no use any more."""
    priority: int = 0
    """Told to whom it is for; a lower one comes first among those of different senders."""
    correlation: str = ""
    """What it belongs to: for an answer the message that it answers."""
    answers: str = ""
    """The request that it is the answer to."""
    answer_by_ms: int = 0
    """Of a request: until when an answer is waited for. 0: it is none."""
    task: str = ""
    """The task that its sender was at work on."""
    attempt: int = 0
    external: bool = False
    """Its sender is no agent of this swarm."""
    by: str = ""
    """The identity of the client that sent it, as the server knows it."""


class DeadReason(StrEnum):
    """Why a message will not be read by whom it was for."""

    EXPIRED = "expired"
    HANDLER_FAILED = "handler_failed"
    AGENT_GONE = "agent_gone"
    INBOX_FULL = "inbox_full"
    """There was no room for it, and others got it."""


def is_single(target: str) -> bool:
    """Whether a target is one agent."""
    kinds = (BY_TYPE, BY_CAPABILITY, BY_SWARM, BY_TOPIC)
    return target != EVERYBODY and not target.startswith(kinds)


def is_pattern(pattern: str) -> bool:
    """Whether it is words with dots between, of which `*` stands for one and a last `>` for one or
    more."""
    words = pattern.split(".")
    return all(words) and not any(">" in word for word in words[:-1]) and _whole(words)


def _whole(words: list[str]) -> bool:
    return all(word in ("*", ">") or not {"*", ">"} & set(word) for word in words)


def is_topic(topic: str) -> bool:
    """Whether it is words with dots between and no wildcard."""
    return is_pattern(topic) and not {"*", ">"} & set(topic)


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one of those that a pattern means."""
    wanted, words = pattern.split("."), topic.split(".")
    for place, word in enumerate(wanted):
        if word == ">":
            return len(words) > place
        if place >= len(words) or word not in ("*", words[place]):
            return False
    return len(words) == len(wanted)
