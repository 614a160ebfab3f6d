"""Refusals: what a model's provider says when it does not let a tool go on, told apart.

`permanent`: nothing changes by waiting, such as a key that is not known. `throttled`: it asks for
patience. Only called with what a tool itself marks as an error, or with lines in the form of one:
an agent that writes about the number 429 was not refused anything.
"""

import json
import re
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from visionflow.agents.tools.text import one_line

MESSAGE_MAX = 4_000
WAIT_MS_MAX = 30 * 86_400_000
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Refusal(msgspec.Struct, frozen=True):
    """Why a tool cannot go on, by its provider."""

    kind: Literal["permanent", "throttled"]
    message: str
    """The provider's own words, or the tool's for them, on one line."""
    wait_ms: int | None = None
    """How long it asks to wait, where it says so."""


_QUOTA = re.compile(
    r"insufficient_quota|credit balance is too low|billing_(?:error|hard_limit|not_active)"
    r"|exceeded your (?:current|monthly) (?:quota|spend)|quota exceeded|payment required"
    r"|out of (?:usage )?credits|insufficient (?:credits?|balance|funds)|account_on_hold",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"authentication_?(?:error|failed)|\bAuthenticationError\b|PermissionDeniedError"
    r"|permission_(?:error|denied)|(?:invalid|incorrect|missing)[ _](?:x-)?api[ _-]?key"
    r"|api[ _]key (?:is )?(?:not valid|invalid|expired|not found)|API_KEY_INVALID"
    r"|\bUNAUTHENTICATED\b"
    r"|401 unauthorized|403 forbidden|not logged in|please run /login|oauth_org_not_allowed"
    r"|oauth token (?:has )?(?:expired|been revoked)|token (?:is )?(?:expired|revoked)"
    r"|set an auth method|account (?:is )?(?:disabled|suspended|deactivated)",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|\bmodels?\b.{0,120}?\b(?:does not exist|not found|is not supported)"
    r"|issue with the selected model",
    re.IGNORECASE,
)
_THROTTLED = re.compile(
    r"rate[_ -]?limit(?:ed|_error|_exceeded| reached| exceeded)?\b|RateLimitError"
    r"|\btoo many requests|RESOURCE_EXHAUSTED|\boverloaded(?:_error)?\b|at capacity"
    r"|usage limit|hit your .{0,20}limit|server_is_overloaded|ServiceUnavailableError"
    r"|temporarily unavailable",
    re.IGNORECASE,
)
_UNREACHED = re.compile(
    r"unable to connect|connection (?:error|refused|reset|timed out)"
    # In capitals alone: a FileNotFoundError has one of these words within it.
    r"|(?-i:\bECONNREFUSED\b|\bECONNRESET\b|\bENOTFOUND\b|\bEAI_AGAIN\b|\bETIMEDOUT\b)"
    r"|stream disconnected|error sending request|fetch failed|APIConnectionError",
    re.IGNORECASE,
)
_STATUS = re.compile(
    r"\bAPI Error:?\s*\(?(?:Request rejected \()?([45]\d\d)\b|\"code\":\s*([45]\d\d)\b"
    r"|\b(?:status(?: code)?|HTTP(?:/\d(?:\.\d)?)?|got)\s*[:=(]?\s*([45]\d\d)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"message"\s*:\s*("(?:[^"\\]|\\.)*")')
_ERROR = re.compile(
    r"^[\s*>\[✗✖!-]*(?:API |fatal |internal )?(?:error|fatal)\b"
    r"|^[\w.]*(?:Error|Exception)\b\s*[:({\[]"
    r"|^unexpected status \d",
    re.IGNORECASE,
)
_API_ERROR = re.compile(r"^\s*API Error:?\s*\(?[45]\d\d\b")
_AFTER = re.compile(
    r"retry[-_ ]after(?:[-_ ](ms))?[\"']?\s*[:=]?\s*[\"']?(\d+(?:\.\d+)?)", re.IGNORECASE
)
_DATE = re.compile(
    r"retry[-_ ]after[\"']?\s*[:=]\s*[\"']?(\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT)", re.IGNORECASE
)
_PART = (
    r"\d+(?:\.\d+)?\s*"
    r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
)
_IN = re.compile(
    rf"(?:again|retry|retrying|resets?|wait|available|retryDelay\W{{1,5}}|after)\s*(?:in\s+|for\s+)?"
    rf"((?:{_PART}[,\s]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_EACH = re.compile(r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|[a-z])", re.IGNORECASE)


def refusal_of(
    message: str, *, status: int | None = None, wait_ms: int | None = None, now_ms: int = 0
) -> Refusal | None:
    """What an error of a tool's provider means; `None` where it is no refusal.

    `status`: the HTTP status, where the tool tells it. `wait_ms`: the wait that the tool tells
    beside the message. `now_ms`: since the epoch, for waits that are told as a date.
    """
    message = message[:MESSAGE_MAX]
    said = one_line(words_of(message))
    wait = wait_of(message, now_ms) if wait_ms is None else _bounded(wait_ms)
    status = _status_in(message) if status is None else status
    if _QUOTA.search(message):
        # The same words stand for a limit of a minute, where the answer says how long to wait.
        return Refusal("permanent" if wait is None else "throttled", said, wait)
    if status in (401, 402, 403, 404) or (status is None and _is_final(message)):
        return Refusal("permanent", said)
    # A key that is no key is answered with 400 by some.
    if status is not None and 400 <= status < 408 and _is_final(message):
        return Refusal("permanent", said)
    if status in (408, 409, 425, 429) or (status is not None and status >= 500):
        return Refusal("throttled", said, wait)
    if status is None and (_THROTTLED.search(message) or _UNREACHED.search(message)):
        return Refusal("throttled", said, wait)
    return None


def refusal_in(line: str, now_ms: int = 0) -> Refusal | None:
    """The same for a line of text that a tool ended with: only if it has the form of an error."""
    return refusal_of(line, now_ms=now_ms) if _ERROR.search(line[:200]) else None


def is_api_error(line: str) -> bool:
    """Whether a line begins as tools begin the error of a model's API: `API Error: 401 ...`."""
    return _API_ERROR.match(line) is not None


def words_of(message: str) -> str:
    """The provider's words in a message that quotes its whole answer; else the message."""
    found = _QUOTED.search(message) if '"error"' in message else None
    if found is None:
        return message
    try:
        return str(json.loads(found[1])) or message
    except ValueError:
        return message


def wait_of(text: str, now_ms: int = 0) -> int | None:
    """The wait in ms that a text asks for: `retry-after: 20`, a date, `try again in 1m30s`."""
    if (date := _DATE.search(text)) is not None:
        try:
            then = parsedate_to_datetime(date[1]).timestamp()
        except (ValueError, OverflowError):
            return None
        return _bounded(int(then * 1_000) - now_ms)
    # The longer forms first: "retry after 2 minutes" is no two seconds.
    if (found := _IN.search(text)) is not None:
        parts = _EACH.findall(found[1])
        return _bounded(round(sum(float(n) * _UNITS[_unit(unit)] for n, unit in parts)))
    if (found := _AFTER.search(text)) is not None:
        return _bounded(round(float(found[2][:15]) * (1 if found[1] else 1_000)))
    return None


def _unit(word: str) -> str:
    low = word.lower()
    return "ms" if low.startswith(("ms", "milli")) else low[0]


def _bounded(wait_ms: int) -> int:
    return min(max(wait_ms, 0), WAIT_MS_MAX)


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message)
    return None if found is None else int(next(filter(None, found.groups())))


def _is_final(message: str) -> bool:
    return any(each.search(message) for each in (_DENIED, _MODEL))
