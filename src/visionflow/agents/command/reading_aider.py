"""Reading aider: text.

Its figures stand in lines of their own, rounded by itself:

    Tokens: 2.3k sent, 120 received. Cost: $0.0073 message, $0.02 session.

What its provider refuses comes as `litellm.RateLimitError: ...`, followed by what aider says to
that or by `Retrying in 0.2 seconds...`; that pair is what is looked for, since the model may write
the first line itself. It ends with 0 all the same.
"""

import re

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import LineReader, total
from visionflow.agents.command.refusals import Refusal, refusal_of

_TOKENS = re.compile(
    r"^Tokens: (?P<sent>[\d.,]+[kM]?) sent,.*?(?P<received>[\d.,]+[kM]?) received\."
    r"(?: Cost: \$[\d.,]+ message, \$(?P<cost>[\d.,]+) session\.)?"
)
_ERROR = re.compile(r"^litellm\.(?P<kind>\w+): ")
_CONFIRMS = re.compile(
    r"^(?:Retrying in [\d.]+ seconds|The API provider|You are out of|You need to|.*quota"
    r"|.*API key|The API key|Check your)",
    re.IGNORECASE,
)
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
_EDITED = re.compile(r"^Applied edit to (.+)$")
_FACTORS = {"k": 1_000, "M": 1_000_000}


class AiderReader(LineReader):
    """Reads aider."""

    _pending: str | None = None

    def line(self, stream: str, text: str) -> None:
        """Figures, an error with its confirmation, an edit, or what the model says."""
        if (found := _TOKENS.match(text)) is not None:
            self._count(found)
            return
        if (edited := _EDITED.match(text)) is not None:
            self.tell(f"editing {edited[1]}")
            return
        if self._pending is not None and _CONFIRMS.match(text):
            self.refuse(self._refused(self._pending))
            self.tell(f"waiting: {self._pending}")
            self._pending = None
            return
        self._pending = text if _ERROR.match(text) else None
        if self._pending is None and stream == "stdout":
            self.say("\n".join(self._tails["stdout"]))

    def end(self, exit_code: int | None) -> None:
        """A refusal holds although it ends with 0."""
        refusal = self.refusal
        super().end(exit_code)
        self.refusal = refusal or self.refusal

    def _count(self, found: re.Match[str]) -> None:
        self.moved_on()
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
        refusal = refusal_of(text, now_ms=self.now_ms())
        if kind in _PERMANENT:
            return Refusal("permanent", text[:300])
        if kind in _THROTTLED and (refusal is None or refusal.kind == "throttled"):
            return Refusal("throttled", text[:300], None if refusal is None else refusal.wait_ms)
        return refusal


def _number(text: str) -> int | None:
    factor = _FACTORS.get(text[-1], 1)
    try:
        return round(float(text.rstrip("kM").replace(",", "").rstrip(".")) * factor)
    except ValueError:
        return None
