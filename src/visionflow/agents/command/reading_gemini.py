"""Reading Gemini CLI: its `stream-json`, one object a line.

`init` names the session; `message` comes in pieces; `tool_use` is what it does; `result` ends it,
with the tokens, or with the error of its API.
"""

import re
from typing import Any

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import (
    SAID_MAX,
    LineReader,
    count_of,
    doing,
    part,
    text_of,
)
from visionflow.agents.command.refusals import Refusal, refusal_of, words_of
from visionflow.agents.tools.text import one_line

_AGAIN = re.compile(r"^Attempt (\d+) failed(?: with status (\d{3})\b|: |\.)")
_FAILED = "Error when talking to Gemini API"
_EXITS = {41: "authentication"}
"""Exit codes that say more than 1: https://geminicli.com/docs/cli/headless."""


class GeminiReader(LineReader):
    """Reads Gemini CLI."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._pieces = ""

    def record(self, stream: str, found: dict[str, Any]) -> None:
        """One of its events."""
        kind = found.get("type")
        if stream != "stdout":
            return
        if kind == "init":
            self.session = text_of(found.get("session_id")) or self.session
        elif kind == "message" and found.get("role") == "assistant":
            self.moved_on()
            piece = text_of(found.get("content"))
            self._pieces = (self._pieces + piece if found.get("delta") else piece)[-SAID_MAX:]
            self.say(self._pieces)
            self.tell(self._pieces)
        elif kind == "tool_use":
            self.moved_on()
            self._pieces = ""
            self.tell(doing(text_of(found.get("tool_name")), found.get("parameters")))
        elif kind == "result":
            self._result(found)

    def line(self, stream: str, text: str) -> None:
        """It tells on stderr that it tries again by itself."""
        if stream == "stdout":
            return
        if text.startswith(_FAILED):
            self.refuse(refusal_of(text, now_ms=self.now_ms()))
        elif (again := _AGAIN.match(text)) is not None:
            status = None if again[2] is None else int(again[2])
            self.tell(f"waiting: {text.removeprefix(again[0])}, retry {again[1]}")
            self.refuse(refusal_of(text, status=status, now_ms=self.now_ms()))

    def end(self, exit_code: int | None) -> None:
        """It has an exit code of its own for a missing login."""
        if exit_code in _EXITS and self.refusal is None:
            told = list(self._tails["stderr"])[-1:] or [f"no {_EXITS[exit_code]}"]
            self.refuse(Refusal("permanent", one_line(told[0])))
        super().end(exit_code)

    def _result(self, found: dict[str, Any]) -> None:
        error = text_of(part(found, "error", "message"))
        if found.get("status") == "error":
            self.refuse(refusal_of(error, now_ms=self.now_ms()))
            self.say(words_of(error))
        else:
            self.moved_on()
        self.usage = Usage(
            input_tokens=count_of(part(found, "stats", "input_tokens")),
            output_tokens=count_of(part(found, "stats", "output_tokens")),
        )
