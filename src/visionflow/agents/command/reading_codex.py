"""Reading Codex: the events of `codex exec --json`, one object a line.

`thread.started` names the session; `item.*` is what it says and does; `turn.completed` has the
tokens; `error` and `turn.failed` what went wrong. While it tries again by itself it says so in an
`error`: `Reconnecting... 2/5 (unexpected status 401 Unauthorized: ...)`.
"""

import re
from typing import Any, cast

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import (
    SAID_MAX,
    LineReader,
    count_of,
    part,
    since,
    text_of,
)
from visionflow.agents.command.refusals import refusal_of

_AGAIN = re.compile(r"Reconnecting\.\.\. (\d+)/\d+ \((.*)\)\s*$", re.DOTALL)
_WHERE = re.compile(r",? url: \S+|, cf-ray: \S+|,? request id: \S+")


class CodexReader(LineReader):
    """Reads Codex."""

    def record(self, stream: str, found: dict[str, Any]) -> None:
        """One of its events."""
        kind = text_of(found.get("type"))
        if stream != "stdout":
            return
        if kind == "thread.started":
            self.session = text_of(found.get("thread_id")) or self.session
        elif kind == "error":
            self._error(text_of(found.get("message")))
        elif kind == "turn.failed":
            self._error(text_of(part(found, "error", "message")))
        elif kind == "turn.completed":
            self.moved_on()

            def told(key: str) -> int | None:
                return count_of(part(found, "usage", key))

            # They are of the whole conversation, earlier goes of it included.
            self.usage = Usage(
                input_tokens=since(told("input_tokens"), self.before.input_tokens),
                output_tokens=since(told("output_tokens"), self.before.output_tokens),
                turns=(self.usage.turns or 0) + 1,
            )
        elif kind.startswith("item."):
            self._item(part(found, "item"), kind == "item.completed")

    def _item(self, item: Any, done: bool) -> None:
        kind = text_of(part(item, "type"))
        if kind == "error":
            return
        self.moved_on()
        if kind == "agent_message" and done:
            self.say(text_of(part(item, "text")))
            self.tell(text_of(part(item, "text")))
        elif kind == "command_execution" and not done:
            self.tell(f"running {text_of(part(item, 'command'))}")
        elif kind == "file_change":
            changes = part(item, "changes")
            changes = cast("list[Any]", changes) if isinstance(changes, list) else []
            paths = [path for each in changes if (path := text_of(part(each, "path")))]
            self.tell(f"editing {', '.join(paths)}")
        elif kind == "mcp_tool_call" and not done:
            self.tell(f"calling {text_of(part(item, 'tool'))}")
        elif kind == "web_search":
            self.tell(f"searching {text_of(part(item, 'query'))}")

    def _error(self, message: str) -> None:
        message = message[:SAID_MAX]
        again = _AGAIN.match(message)
        told = _WHERE.sub("", message if again is None else again[2])
        refusal = refusal_of(told, now_ms=self.now_ms())
        if again is not None:
            self.tell(f"waiting: {told}, retry {again[1]}")
            # The first retry may be with a token that it renewed in between.
            if refusal is not None and refusal.kind == "permanent" and int(again[1]) < 2:
                return
        else:
            self.say(told)
        self.refuse(refusal)
