"""Reading Claude Code: its `stream-json`, one object a line.

`system/init` names the session; `assistant` holds what it says and which tools it calls, or, with
`is_api_error_message`, what its API refused; `system/api_retry` tells that it tries again by
itself; `rate_limit_event` until when a subscription is used up; `result` ends it with the figures.
"""

from collections import OrderedDict
from typing import Any, cast

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.reading_lines import (
    LineReader,
    count_of,
    doing,
    microdollars_of,
    part,
    since,
    text_of,
    total,
)
from visionflow.agents.command.refusals import Refusal, refusal_of

_MESSAGES_MAX = 256
_RETRIES_MAX = 3
"""After so many of its own retries a refused key is taken for refused."""
_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_PERMANENT = frozenset(
    ("authentication_failed", "billing_error", "model_not_found", "oauth_org_not_allowed",
     "account_on_hold", "cloud_credential_error", "verification_required")
)  # fmt: skip


class ClaudeReader(LineReader):
    """Reads Claude Code."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._resets_ms: int | None = None
        self._asked_ms: int | None = None

    def record(self, stream: str, found: dict[str, Any]) -> None:
        """One of its messages."""
        kind = found.get("type")
        if stream != "stdout":
            return
        self.session = text_of(found.get("session_id")) or self.session
        if kind == "assistant":
            self._assistant(found)
        elif kind == "system" and found.get("subtype") == "api_retry":
            self._retry(found)
        elif kind == "system" and found.get("subtype") == "init":
            self.tell(f"started with {text_of(found.get('model')) or 'its model'}")
        elif kind == "rate_limit_event":
            self._limits(part(found, "rate_limit_info"))
        elif kind == "result":
            self._result(found)

    def _assistant(self, found: dict[str, Any]) -> None:
        blocks = part(found, "message", "content")
        blocks = cast("list[Any]", blocks) if isinstance(blocks, list) else []
        texts = [text_of(part(b, "text")) for b in blocks if part(b, "type") == "text"]
        if found.get("is_api_error_message") is True:
            self._error(" ".join(texts), found)
            return
        self.moved_on()
        if found.get("parent_tool_use_id") is None and any(texts):
            self.say("\n".join(texts))
            self.tell(texts[-1])
        for block in blocks:
            if part(block, "type") == "tool_use":
                self.tell(doing(text_of(part(block, "name")), part(block, "input")))
        self._count(part(found, "message"))

    def _count(self, message: Any) -> None:
        """What it read so far. How much a message has written is only known at the very end."""
        name = text_of(part(message, "id"))
        if not name or name in self._seen:
            return
        self._seen[name] = None
        if len(self._seen) > _MESSAGES_MAX:
            self._seen.popitem(last=False)
        read = total(*(count_of(part(message, "usage", each)) for each in _INPUTS))
        self.usage = Usage(
            input_tokens=total(self.usage.input_tokens, read),
            turns=(self.usage.turns or 0) + 1,
        )

    def _retry(self, found: dict[str, Any]) -> None:
        status, wait = count_of(found.get("error_status")), count_of(found.get("retry_delay_ms"))
        attempt, most = count_of(found.get("attempt")), count_of(found.get("max_retries"))
        why = text_of(found.get("error")) or "no answer"
        told = why if status is None else f"{why} (HTTP {status})"
        self.tell(f"waiting: {told}, retry {attempt} of {most}")
        refusal = refusal_of(told, status=status, wait_ms=wait) if status is not None else None
        if refusal is None:
            return
        if refusal.kind == "throttled":
            self._asked_ms = wait if status == 429 else None
            self.refuse(refusal)
        elif (attempt or 0) > _RETRIES_MAX:
            # It goes on for minutes by itself; before that its last message has better words.
            self.refuse(refusal)

    def _limits(self, info: Any) -> None:
        resets = count_of(part(info, "resetsAt"))
        if part(info, "status") != "rejected" or part(info, "isUsingOverage") is True:
            return
        self._resets_ms = None if resets is None else max(resets * 1_000 - self.now_ms(), 0)
        which = text_of(part(info, "rateLimitType")) or "usage"
        self.refuse(Refusal("throttled", f"The limit {which} is used up.", self._resets_ms))

    def _error(self, text: str, found: dict[str, Any]) -> None:
        kind = text_of(found.get("error"))
        status = count_of(found.get("api_error_status"))
        wait = self._resets_ms if self._resets_ms is not None else self._asked_ms
        refusal = refusal_of(text, status=status, wait_ms=wait, now_ms=self.now_ms())
        if kind in _PERMANENT or (refusal is not None and refusal.kind == "permanent"):
            refusal = Refusal("permanent", _words(text, kind))
        elif refusal is None and kind in ("rate_limit", "overloaded", "server_error"):
            refusal = refusal_of(text, status=429, wait_ms=wait)
        self.refuse(refusal)
        self.say(text)

    def _result(self, found: dict[str, Any]) -> None:
        if found.get("is_error") is True:
            status = count_of(found.get("api_error_status"))
            if self.refusal is None and status is not None:
                self._error(text_of(found.get("result")), found)
        else:
            self.moved_on()
        self.say(text_of(found.get("result")))
        self.usage = _usage(found, self.before)


def _words(text: str, kind: str) -> str:
    return Refusal("permanent", " ".join((text or kind).split())[:300]).message


def _usage(found: dict[str, Any], before: Usage) -> Usage:
    """The figures of this go. `modelUsage` and `total_cost_usd` are of the whole conversation;
    those of all models since it went on, sub-agents' among them, are told by newer versions."""
    models = found.get("model_usage_since_last_result")
    each = list(cast("dict[str, Any]", models).values()) if isinstance(models, dict) else []
    inputs = ("inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens")
    read = total(*(count_of(part(one, key)) for one in each for key in inputs))
    made = total(*(count_of(part(one, "outputTokens")) for one in each))
    cost = total(*(microdollars_of(part(one, "costUSD")) for one in each))
    if read is None or made is None:
        read = total(*(count_of(part(found, "usage", key)) for key in _INPUTS))
        made = count_of(part(found, "usage", "output_tokens"))
    if cost is None:
        cost = since(microdollars_of(found.get("total_cost_usd")), before.cost_microdollars)
    turns = count_of(found.get("num_turns"))
    return Usage(input_tokens=read, output_tokens=made, cost_microdollars=cost, turns=turns)
