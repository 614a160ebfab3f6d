"""Reading aider: text.

Its figures stand in lines of their own, rounded by itself:

    Tokens: 2.3k sent, 120 received. Cost: $0.0073 message, $0.02 session.

What its provider refuses comes as `litellm.RateLimitError: ...`, followed by what aider says to
that or by `Retrying in 0.2 seconds...`; that pair is what is looked for, since the model may write
the first line itself. It ends with 0 all the same.
"""

import re
from collections import deque
from typing import Any

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import TAIL_LINES, LineReader, total
from visionflow.agents.command.refusals import Refusal, refusal_of
from visionflow.agents.tools.text import one_line

_TOKENS = re.compile(
    r"^Tokens: (?P<sent>[\d.,]+[kM]?) sent,.*?(?P<received>[\d.,]+[kM]?) received\."
    r"(?: Cost: \$[\d.,]+ message, \$(?P<cost>[\d.,]+) session\.)?"
)
_ERROR = re.compile(r"^litellm\.(?P<kind>\w+): ")
_CONFIRMS = re.compile(
    r"^(?:Retrying in [\d.]+ seconds|The API provider|The API key|You are out of|.*API key\.$"
    r"|Check your)"
)
_ERROR_LINES = 6
_PERMANENT = (
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "BudgetExceededError",
)
_THROTTLED = (
    "RateLimitError", "ServiceUnavailableError", "InternalServerError", "APIConnectionError",
    "Timeout", "BadGatewayError",
)  # fmt: skip
_BEGINS = "Repo-map: "
"""The last line before the model speaks."""
_EDITED = re.compile(r"^Applied edit to (.+)$")
_FACTORS = {"k": 1_000, "M": 1_000_000}


class AiderReader(LineReader):
    """Reads aider."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._pending: list[str] = []
        self._answer: deque[str] = deque(maxlen=TAIL_LINES)

    def line(self, stream: str, text: str) -> None:
        """Figures, an error with its confirmation, an edit, or what the model says."""
        if (found := _TOKENS.match(text)) is not None:
            self._count(found)
        elif (edited := _EDITED.match(text)) is not None:
            self.tell(f"editing {edited[1]}")
        elif self._pending and _CONFIRMS.match(text):
            told = " ".join(self._pending)
            self._pending = []
            self.refuse(self._refused(told))
            self.tell(f"waiting: {told}")
            self.say(told)
        elif _ERROR.match(text) or 0 < len(self._pending) < _ERROR_LINES:
            self._pending.append(text)
        elif text.startswith(_BEGINS):
            self._answer.clear()
        else:
            self._pending = []
            self._answer.append(text)

    def end(self, exit_code: int | None) -> None:
        """A refusal holds although it ends with 0."""
        refusal = self.refusal
        super().end(exit_code)
        self.refusal = refusal or self.refusal

    def _count(self, found: re.Match[str]) -> None:
        self.moved_on()
        self.say("\n".join(self._answer))
        self._answer.clear()
        cost = found["cost"]
        self.usage = Usage(
            input_tokens=total(self.usage.input_tokens, _number(found["sent"])),
            output_tokens=total(self.usage.output_tokens, _number(found["received"])),
            cost_microdollars=self.usage.cost_microdollars
            if cost is None
            else round(float(cost.replace(",", "").rstrip(".")) * 1_000_000),
            turns=(self.usage.turns or 0) + 1,
        )

    def _refused(self, text: str) -> Refusal | None:
        found = _ERROR.match(text)
        kind = "" if found is None else found["kind"]
        if kind in _PERMANENT:
            return Refusal("permanent", one_line(text))
        refusal = refusal_of(text, now_ms=self.now_ms())
        if kind in _THROTTLED and refusal is None:
            return Refusal("throttled", one_line(text))
        return refusal


def _number(text: str) -> int | None:
    factor = _FACTORS.get(text[-1], 1)
    try:
        return round(float(text.rstrip("kM").replace(",", "").rstrip(".")) * factor)
    except ValueError:
        return None
