"""Reading any program: text, and where its last line is a JSON object with `usage`, its figures.

    {"usage": {"input_tokens": 1200, "output_tokens": 300, "cost_microdollars": 4100, "turns": 3}}

`cost_usd` or `total_cost_usd` beside `cost_microdollars` is read as well; `session` too.
"""

from typing import Any

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import (
    LineReader,
    count_of,
    microdollars_of,
    part,
    text_of,
)
from visionflow.agents.command.refusals import is_api_error, refusal_of


class ScriptReader(LineReader):
    """Reads what any program prints."""

    def line(self, stream: str, text: str) -> None:
        """Its last lines are its last words; an API's error on stderr is seen at once."""
        if stream == "stderr":
            if is_api_error(text):
                self.refuse(refusal_of(text, now_ms=self.now_ms()))
            return
        self.moved_on()
        self.tell(text)

    def record(self, stream: str, found: dict[str, Any]) -> None:
        """Only the last one counts, and only with `usage`."""
        if stream != "stdout" or part(found, "usage") is None:
            return
        cost = count_of(part(found, "usage", "cost_microdollars"))
        if cost is None:
            cost = microdollars_of(part(found, "usage", "cost_usd"))
        if cost is None:
            cost = microdollars_of(found.get("total_cost_usd"))
        self.usage = Usage(
            input_tokens=count_of(part(found, "usage", "input_tokens")),
            output_tokens=count_of(part(found, "usage", "output_tokens")),
            cost_microdollars=cost,
            turns=count_of(part(found, "usage", "turns")),
        )
        self.session = text_of(found.get("session")) or self.session
