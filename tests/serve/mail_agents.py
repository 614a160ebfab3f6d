"""Agents for the tests of the tools about mail: workers load them from this file."""

from typing import Any

from visionflow import BaseAgent, Message


class Answering(BaseAgent):
    """Answers who asks; what says so cannot be dealt with."""

    async def handle_message(self, message: Message) -> None:
        content: dict[str, Any] = message.content
        if content.get("fails"):
            raise ValueError(f"no {content['fails']}")
        if message.wants_answer and not content.get("silent"):
            await self.reply(message, {"heard": content})


class Reading(BaseAgent):
    """Leaves its messages in its inbox."""
