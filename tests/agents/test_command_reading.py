"""Reading what tools print. The records are of Claude Code 2.1, Codex 0.171, Gemini CLI 0.61 and
aider 0.86, cut to what matters."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.profiles import PROFILES
from visionflow.agents.command.reading import Reader, reader_of
from visionflow.agents.command.reading_claude import ClaudeReader
from visionflow.agents.command.reading_lines import LINE_BYTES_MAX, SAID_MAX

PERMANENT, THROTTLED = "permanent", "throttled"


def read(profile: str, *lines: str | dict[str, Any], err: str = "", code: int | None = 0) -> Reader:
    reader = reader_of(PROFILES[profile])
    for line in lines:
        text = line if isinstance(line, str) else json.dumps(line)
        reader.feed("stdout", text.encode() + b"\n")
    reader.feed("stderr", err.encode())
    reader.close(code)
    return reader


def kind_of(reader: Reader) -> str | None:
    return None if reader.refusal is None else reader.refusal.kind


def said(text: str, **more: Any) -> dict[str, Any]:
    """A message of Claude Code."""
    content = [{"type": "text", "text": text}]
    usage = {"input_tokens": 2, "cache_read_input_tokens": 5, "output_tokens": 1}
    message = {"id": f"msg_{text}", "content": content, "usage": usage}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def refused(text: str, status: int, error: str) -> dict[str, Any]:
    return said(text, is_api_error_message=True, api_error_status=status, error=error)


def retried(status: int | None, attempt: int = 1, delay_ms: int = 522) -> dict[str, Any]:
    return {
        "type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 10,
        "retry_delay_ms": delay_ms, "error_status": status, "error": "rate_limit",
    }  # fmt: skip


RESULT = {
    "type": "result", "is_error": False, "result": "All done.", "num_turns": 3,
    "session_id": "s-1", "total_cost_usd": 0.5,
    "usage": {"input_tokens": 9, "output_tokens": 8},
    "model_usage_since_last_result": {
        "big": {"inputTokens": 10, "cacheReadInputTokens": 5, "outputTokens": 7, "costUSD": 0.2},
        "small": {"inputTokens": 1, "cacheCreationInputTokens": 1, "outputTokens": 1,
                  "costUSD": 0.1},
    },
}  # fmt: skip


def test_claudes_figures_are_of_all_its_models_in_this_go() -> None:
    reader = read("claude", {"type": "system", "subtype": "init", "session_id": "s-0"}, RESULT)
    assert reader.usage == Usage(17, 8, 300_000, 3)
    assert reader.session == "s-1" and reader.said == "All done."


def test_an_older_claudes_figures_have_earlier_goes_taken_off() -> None:
    old = {key: value for key, value in RESULT.items() if key != "model_usage_since_last_result"}
    reader = ClaudeReader(Usage(cost_microdollars=200_000))
    reader.feed("stdout", json.dumps(old).encode())
    reader.close(0)
    assert reader.usage == Usage(9, 8, 300_000, 3)


def test_of_a_claude_that_was_ended_is_known_what_it_read_and_no_more() -> None:
    reader = read("claude", said("a"), said("a"), said("b"), code=None)
    assert reader.usage == Usage(input_tokens=14, turns=2)


def test_what_claude_does_is_told_in_a_few_words() -> None:
    call = said("x")
    call["message"]["content"] = [
        {"type": "tool_use", "name": "Edit", "input": {"file_path": "shop/limits.py"}}
    ]
    assert read("claude", call).note == "editing shop/limits.py"
    call["message"]["content"][0].update(name="Bash", input={"command": "pytest -q\n" * 90})
    note = read("claude", call).note
    assert note.startswith("running pytest -q") and len(note) <= 120 and "\n" not in note


def test_what_a_sub_agent_says_is_not_the_last_word() -> None:
    reader = read("claude", said("mine"), said("of another", parent_tool_use_id="toolu_1"))
    assert reader.said == "mine"


def test_claude_may_write_about_refusals() -> None:
    reader = read("claude", said("API Error: 429 is now handled, rate_limit_error too."), code=1)
    assert reader.refusal is None


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (
            refused("Invalid API key · Fix external API key", 401, "authentication_failed"),
            PERMANENT,
        ),
        (refused("There's an issue with the selected model", 404, "model_not_found"), PERMANENT),
        (refused("Credit balance is too low", 400, "billing_error"), PERMANENT),
        (refused("API Error: Request rejected (429) · slow", 429, "rate_limit"), THROTTLED),
        (refused("API Error: Repeated 529 Overloaded errors.", 529, "server_error"), THROTTLED),
        (refused("Prompt is too long", 400, "invalid_request"), None),
    ],
)
def test_claudes_error_messages(record: dict[str, Any], kind: str | None) -> None:
    assert kind_of(read("claude", record, code=1)) == kind


def test_claudes_own_retries_are_a_wait_that_is_over_with_its_next_message() -> None:
    reader = reader_of(PROFILES["claude"])
    reader.feed("stdout", json.dumps(retried(429, delay_ms=3_186)).encode() + b"\n")
    assert reader.refusal is not None and reader.refusal.wait_ms == 3_186
    assert "retry 1 of 10" in reader.note
    reader.feed("stdout", json.dumps(said("on again")).encode() + b"\n")
    assert reader.refusal is None


def test_a_refused_key_that_claude_keeps_trying_is_permanent_before_it_gives_up() -> None:
    assert kind_of(read("claude", retried(401, attempt=1), code=None)) is None
    assert kind_of(read("claude", retried(401, attempt=4), code=None)) == PERMANENT


def test_the_wait_of_a_used_up_subscription_is_until_it_resets() -> None:
    reader = ClaudeReader(Usage(), lambda: 1_000.0)
    info = {"status": "rejected", "resetsAt": 4_600, "rateLimitType": "five_hour"}
    for record in (
        {"type": "rate_limit_event", "rate_limit_info": info},
        refused("You've hit your limit", 429, "rate_limit"),
    ):
        reader.feed("stdout", json.dumps(record).encode() + b"\n")
        assert reader.refusal is not None and reader.refusal.wait_ms == 3_600_000
    assert "five_hour" not in reader.refusal.message
    allowed = {"status": "allowed_warning", "resetsAt": 4_600}
    assert read("claude", {"type": "rate_limit_event", "rate_limit_info": allowed}).refusal is None


CODEX_DONE = {"type": "turn.completed", "usage": {"input_tokens": 9, "output_tokens": 4}}


def test_codex_names_its_session_its_work_and_its_tokens() -> None:
    reader = read(
        "codex",
        {"type": "thread.started", "thread_id": "t-1"},
        {"type": "item.completed", "item": {"type": "error", "message": "429 Too Many Requests"}},
        {"type": "item.completed",
         "item": {"type": "file_change", "changes": [{"path": "a.py"}, {"path": "b.py"}]}},
    )  # fmt: skip
    assert reader.session == "t-1" and reader.note == "editing a.py, b.py"
    assert reader.refusal is None
    message = {"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}}
    done = read("codex", message, CODEX_DONE)
    assert done.said == "Done." and done.usage == Usage(9, 4, None, 1)


def test_codex_counts_a_whole_conversation_and_a_go_is_what_was_added() -> None:
    reader = reader_of(PROFILES["codex"], Usage(input_tokens=5, output_tokens=4))
    reader.feed("stdout", json.dumps(CODEX_DONE).encode())
    reader.close(0)
    assert reader.usage == Usage(4, 0, None, 1)


def again(n: int, why: str) -> dict[str, Any]:
    return {"type": "error", "message": f"Reconnecting... {n}/5 ({why})"}


def test_codex_is_refused_for_good_once_its_second_try_is() -> None:
    why = "unexpected status 401 Unauthorized: Incorrect API key provided., url: http://h/v1"
    assert read("codex", again(1, why), code=None).refusal is None
    reader = read("codex", again(1, why), again(2, why), code=None)
    assert reader.refusal is not None and reader.refusal.kind == PERMANENT
    assert (
        reader.refusal.message == "unexpected status 401 Unauthorized: Incorrect API key provided."
    )


def test_codex_waits_and_goes_on() -> None:
    busy = again(1, "exceeded retry limit, last status: 429 Too Many Requests")
    assert kind_of(read("codex", busy, code=None)) == THROTTLED
    assert read("codex", busy, CODEX_DONE, code=None).refusal is None


GEMINI_USED = {"input_tokens": 20, "output_tokens": 4, "total_tokens": 24}


def test_gemini_speaks_in_pieces() -> None:
    piece = {"type": "message", "role": "assistant", "delta": True}
    reader = read(
        "gemini",
        {"type": "init", "session_id": "g-1"},
        {"type": "tool_use", "tool_name": "write_file", "parameters": {"file_path": "a.py"}},
        {**piece, "content": "All "},
        {**piece, "content": "done."},
        {"type": "result", "status": "success", "stats": GEMINI_USED},
    )
    assert (reader.session, reader.said) == ("g-1", "All done.")
    assert reader.usage == Usage(20, 4)


def test_gemini_is_refused_with_its_providers_words() -> None:
    quoted = '{"error":{"code":400,"message":"API key not valid."}}'
    error = {"type": "unknown", "message": f"[API Error: {quoted}]"}
    reader = read("gemini", {"type": "result", "status": "error", "error": error}, code=144)
    assert reader.refusal is not None and reader.refusal.kind == PERMANENT
    assert reader.refusal.message == reader.said == "API key not valid."
    missing = read("gemini", err="YOLO mode is enabled.\nPlease set an Auth method.\n", code=41)
    assert missing.refusal is not None and missing.refusal.kind == PERMANENT
    assert missing.refusal.message == "Please set an Auth method."


GEMINI_QUOTA = '{"error":{"code":429,"message":"You exceeded your current quota, check your plan"}}'
GEMINI_BUSY = "Attempt 1 failed: You exceeded your current quota. Please retry in 20s."


@pytest.mark.parametrize(
    ("line", "kind", "wait_ms"),
    [
        (GEMINI_BUSY, THROTTLED, 20_000),
        ("Attempt 1 failed with status 503. Retrying with backoff...", THROTTLED, None),
        (
            f"Attempt 1 failed with status 429. Retrying... _ApiError: {GEMINI_QUOTA}",
            PERMANENT,
            None,
        ),
        ("Attempt 1 failed. Retrying... Error: exception fetch failed", THROTTLED, None),
        ("Loaded cached credentials.", None, None),
    ],
)
def test_geminis_own_retries(line: str, kind: str | None, wait_ms: int | None) -> None:
    reader = read("gemini", err=line, code=None)
    assert kind_of(reader) == kind
    assert reader.refusal is None or reader.refusal.wait_ms == wait_ms


AIDER_BEGINS = ("Aider v0.86.2", "Main model: gpt-4o", "Repo-map: using 4096 tokens, auto refresh")


def test_aiders_figures_stand_in_its_text() -> None:
    reader = read(
        "aider",
        *AIDER_BEGINS,
        "I fixed the 429 handling.",
        "Tokens: 1.2k sent, 56 received. Cost: $0.0036 message, $0.0036 session.",
        "Applied edit to new.py",
        "Then the tests.",
        "Tokens: 2,345 sent, 1.5M cache hit, 1k received. Cost: $0.01 message, $0.02 session.",
    )
    assert reader.usage == Usage(3_545, 1_056, 20_000, 2)
    assert reader.said == "Then the tests." and reader.note == "editing new.py"
    assert read("aider", "Tokens: 12 sent, 3 received.").usage == Usage(12, 3, None, 1)


def test_aiders_refusals_are_those_that_it_comments_itself() -> None:
    error = "litellm.RateLimitError: OpenAIException - Please try again in 20s."
    comment = "The API provider has rate limited you. Try again later or check your quotas."
    reader = read("aider", *AIDER_BEGINS, error, comment, "Retrying in 0.2 seconds...")
    assert reader.refusal is not None and reader.refusal.kind == THROTTLED
    assert reader.refusal.wait_ms == 20_000
    assert read("aider", *AIDER_BEGINS, error, "is what I handle now.").refusal is None
    key = "litellm.AuthenticationError: OpenAIException - Incorrect API key provided"
    told = "The API provider is not able to authenticate you. Check your API key."
    assert kind_of(read("aider", key, told)) == PERMANENT


def test_a_scripts_last_json_line_is_its_report() -> None:
    reader = read("script", "working", '{"usage": {"input_tokens": 3, "cost_microdollars": 0}}')
    assert reader.usage == Usage(3, None, 0, None) and reader.said == "working"
    dollars = read("script", '{"usage": {"output_tokens": 1}, "total_cost_usd": 0.25}')
    assert dollars.usage == Usage(None, 1, 250_000, None)
    assert read("script", '{"used": 1}', "text").usage == Usage()
    odd = '{"usage": {"input_tokens": -1, "output_tokens": true, "cost_usd": "much"}}'
    assert read("script", odd).usage == Usage()


def test_a_scripts_api_error_is_seen_at_once_and_forgotten_where_it_ends_well() -> None:
    line = "API Error: 401 invalid x-api-key (authentication_error)"
    reader = reader_of(PROFILES["script"])
    reader.feed("stderr", line.encode() + b"\n")
    assert kind_of(reader) == PERMANENT and reader.refusal is not None
    assert reader.refusal.message == line
    reader.close(0)
    assert reader.refusal is None


def test_a_scripts_error_at_its_end_counts_only_if_it_failed() -> None:
    line = "Error: rate limit exceeded, retry-after: 7"
    assert read("script", err=line, code=0).refusal is None
    reader = read("script", err=line, code=1)
    assert reader.refusal is not None and reader.refusal.wait_ms == 7_000
    fixed = "Fixed: too many requests are answered with 429."
    assert read("script", fixed, err="2 tests failed", code=1).refusal is None


def test_without_a_word_on_stdout_the_last_words_are_those_on_stderr() -> None:
    assert read("script", err="it did not work out\n", code=3).said == "it did not work out"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_line_without_an_end_does_not_grow_memory(profile: str) -> None:
    reader = reader_of(PROFILES[profile])
    piece = b"x" * 65_536
    tracemalloc.start()
    try:
        for _ in range(100 * 16):
            reader.feed("stdout", piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * LINE_BYTES_MAX
    reader.feed("stdout", b"\nthe last words\n")
    reader.close(0)
    assert reader.said == "the last words" or profile == "aider"


def test_characters_and_lines_may_be_broken_anywhere() -> None:
    whole = json.dumps(said("naïve ✓ 🙂"), ensure_ascii=False).encode() + b"\r\n"
    for size in (1, 2, 3, 7):
        reader = reader_of(PROFILES["claude"])
        for start in range(0, len(whole), size):
            reader.feed("stdout", whole[start : start + size])
        reader.close(0)
        assert reader.said == "naïve ✓ 🙂"


def test_escape_sequences_reach_nobody() -> None:
    reader = read("script", "\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2Jend")
    assert reader.said == reader.note == "red 2Jend"


RECORDS = st.sampled_from(
    [RESULT, CODEX_DONE, said("a"), retried(429), refused("x", 401, "authentication_failed"),
     again(2, "unexpected status 401"), {"type": "result", "stats": GEMINI_USED},
     {"type": "item.completed", "item": 3}, {"type": "assistant", "message": None},
     {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": -1}},
     {"usage": {"input_tokens": 1 << 80}}, {"type": ["a"]}, {"usage": []}]
).map(lambda record: json.dumps(record).encode() + b"\n")  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "message", "content", "usage", "item", "error", "stats", "text",
                         "input_tokens", "total_cost_usd", "resetsAt", "rate_limit_info"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
ODD = VALUES.flatmap(
    lambda value: st.sampled_from(
        ["assistant", "result", "turn.completed", "item.started", "rate_limit_event", "error"]
    ).map(lambda kind: json.dumps({**(value if isinstance(value, dict) else {}), "type": kind}))
).map(lambda text: text.encode() + b"\n")


@given(
    st.sampled_from(sorted(PROFILES)),
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), RECORDS | ODD | st.binary(max_size=80)),
        max_size=12,
    ),
    st.sampled_from([None, 0, 1, 41]),
)
def test_whatever_comes_a_reader_holds(
    profile: str, pieces: list[tuple[str, bytes]], code: int | None
) -> None:
    reader = reader_of(PROFILES[profile])
    for stream, data in pieces:
        reader.feed(stream, data)
    reader.close(code)
    reader.close(code)
    assert len(reader.said) <= SAID_MAX and "\n" not in reader.note and "\x1b" not in reader.said
    counts = (reader.usage.input_tokens, reader.usage.output_tokens)
    assert all(count is None or count >= 0 for count in counts)
    assert reader.session is None or isinstance(reader.session, str)


@given(st.sampled_from(sorted(PROFILES)), st.lists(RECORDS, max_size=6), st.data())
def test_where_the_output_is_broken_makes_no_difference(
    profile: str, records: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(records)
    at = data.draw(st.integers(0, len(whole)))
    readers = [reader_of(PROFILES[profile]), reader_of(PROFILES[profile])]
    readers[0].feed("stdout", whole)
    readers[1].feed("stdout", whole[:at])
    readers[1].feed("stdout", whole[at:])
    told: list[Any] = []
    for reader in readers:
        reader.close(1)
        told.append((reader.usage, reader.session, reader.said, kind_of(reader)))
    assert told[0] == told[1]
