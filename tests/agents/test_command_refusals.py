"""What the answers of providers mean, and what no answer of one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.command.refusals import (
    WAIT_MS_MAX,
    is_api_error,
    refusal_in,
    refusal_of,
    wait_of,
    words_of,
)

NOW_MS = 1_795_877_000_000
"""Sat, 28 Nov 2026 14:43:20 GMT."""


@pytest.mark.parametrize(
    ("text", "wait_ms"),
    [
        ("retry-after: 20", 20_000),
        ("Retry-After: Sat, 28 Nov 2026 14:45:00 GMT", 100_000),
        ("Retry-After: Sat, 28 Nov 2026 14:00:00 GMT", 0),
        ("retry-after-ms: 250", 250),
        ("Please try again in 20s.", 20_000),
        ("Please try again in 1m30s.", 90_000),
        ("Please try again in 850ms.", 850),
        ("Please retry in 20.5s.", 20_500),
        ("try again in 2 days 4 hours 3 minutes", 187_380_000),
        ("retry after 2 minutes", 120_000),
        ('"retryDelay": "20s"', 20_000),
        ("Suggested retry after 20s.. Retrying after 20170ms...", 20_000),
        ("retry-after: 99999999999", WAIT_MS_MAX),
        ("Retry-After: Sat, 99 Nov 2026 14:45:00 GMT", None),
        ("try again later", None),
        ("after 3 tests", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_the_forms_that_providers_use(text: str, wait_ms: int | None) -> None:
    assert wait_of(text, NOW_MS) == wait_ms


@pytest.mark.parametrize(
    ("message", "status", "kind"),
    [
        ("invalid x-api-key", 401, "permanent"),
        ("Your account does not have access", 403, "permanent"),
        ("model: claude-nope", 404, "permanent"),
        ("Your credit balance is too low to access the Anthropic API.", 400, "permanent"),
        ("You exceeded your current quota, please check your plan", 429, "permanent"),
        ("You exceeded your current quota. Please retry in 20s.", 429, "throttled"),
        ("API key not valid. Please pass a valid API key.", 400, "permanent"),
        ("Too many requests", 429, "throttled"),
        ("Overloaded", 529, "throttled"),
        ("Internal server error", 500, "throttled"),
        ("prompt is too long: 250000 tokens", 400, None),
        ("The model gpt-nope does not exist or you do not have access to it.", None, "permanent"),
        ("unexpected status 401 Unauthorized: Incorrect API key", None, "permanent"),
        ("exceeded retry limit, last status: 429 Too Many Requests", None, "throttled"),
        ("Selected model is at capacity. Please try a different model.", None, "throttled"),
        ("You've hit your usage limit. Try again in 3 days.", None, "throttled"),
        ("API Error: Connection refused (ECONNREFUSED)", None, "throttled"),
        ("No such file or directory", None, None),
    ],
)
def test_an_error_of_a_provider_is_permanent_or_asks_for_patience(
    message: str, status: int | None, kind: str | None
) -> None:
    found = refusal_of(message, status=status, now_ms=NOW_MS)
    assert (None if found is None else found.kind) == kind
    assert found is None or found.message == message


@pytest.mark.parametrize(
    "line",
    [
        "I fixed the 429 handling; too many requests now wait.",
        "FileNotFoundError: [Errno 2] No such file or directory: 'shop/limits.py'",
        "ModuleNotFoundError: No module named 'shop'",
        "The login answers 401 Unauthorized for a bad API key, as asked.",
        "FAILED tests/test_limits.py::test_rate_limit_exceeded - assert 429 == 200",
        "Error: 429 tests failed",
        "Error: expected 401, got a redirect",
        "Done. Error handling: rate limit exceeded is retried.",
    ],
)
def test_what_an_agent_writes_about_errors_is_none(line: str) -> None:
    assert refusal_in(line) is None and not is_api_error(line)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("API Error: 401 invalid x-api-key (authentication_error)", "permanent"),
        ("Error: rate limit exceeded, try again in 20s", "throttled"),
        ("ERROR: insufficient_quota", "permanent"),
        ("openai.RateLimitError: Error code: 429", "throttled"),
        ('[API Error: {"error":{"code":400,"message":"API key not valid."}}]', "permanent"),
    ],
)
def test_a_line_in_the_form_of_an_error_is_read(line: str, kind: str) -> None:
    found = refusal_in(line)
    assert found is not None and found.kind == kind


def test_the_providers_words_are_taken_out_of_its_quoted_answer() -> None:
    quoted = '[API Error: {"error":{"code":400,"message":"Say \\"please\\".","status":"X"}}]'
    assert words_of(quoted) == 'Say "please".'
    assert words_of("plain words") == "plain words"


@given(st.text(max_size=400), st.one_of(st.none(), st.integers(100, 599)))
def test_any_text_is_read_without_a_fault(text: str, status: int | None) -> None:
    found = refusal_of(text, status=status, now_ms=NOW_MS)
    refusal_in(text)
    assert found is None or "\n" not in found.message
    wait = wait_of(text, NOW_MS)
    assert wait is None or 0 <= wait <= WAIT_MS_MAX
