"""Secrets: known by their name or form, and kept out of what a worker says and prints."""

import io
import threading

import pytest

from visionflow.domain.secrecy import is_secret_name, masked, secret_values, without_secrets
from visionflow.worker.hiding import VALUES_MAX, Hidden, MaskedText, secrets_in
from visionflow.worker.telling import HIDDEN, carried, sendable

pytestmark = pytest.mark.acceptance("logs")
HORSE = "corr3ct-h0rse"


@pytest.mark.parametrize(
    "name",
    "password dbPassword DB_PASSWORD passwd token apiKey API_KEY OPENAI_API_KEY GITHUB_TOKEN "
    "AWS_SECRET_ACCESS_KEY client_secret clientSecret Authorization cookie private-key DB_PASS "
    "smtp-pass".split(),
)
def test_what_is_called_a_secret_is_one(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    "tokens maxTokens token_count tokenizer author monkey keyboard path key bypass pass".split(),
)
def test_what_is_called_something_else_is_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'password': 'hunter2x', 'user': 'bob'}", "{'password': '***', 'user': 'bob'}"),
        ('{"apiKey": "a b"}', '{"apiKey": "***"}'),
        ("PASSWORD=x", "PASSWORD=***"),
        ("token: abcdefghij, then", "token: ***, then"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
        ("postgres://bob:hunter2@db/x", "postgres://***@db/x"),
        ("vf_k1d9_0123456789abcdefghij", "vf_k1d9_***"),
        ("ghp_0123456789abcdefghij0", "***"),
        ("DB_PASS=hunter2x", "DB_PASS=***"),
        ("claude --api-key hunter2x -p", "claude --api-key *** -p"),
        ("curl --pass 'hunter2x'", "curl --pass '***'"),
        ("Cookie: a=hunter2x; sid=b64", "Cookie: ***"),
        ("GET /x?sig=hunter2x&page=1", "GET /x?sig=***&page=1"),
        ("https://s3/k?X-Amz-Signature=hunter2x", "https://s3/k?X-Amz-Signature=***"),
    ],
)
def test_a_secret_is_masked_by_its_form_or_by_the_name_before_it(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    ["Unexpected token: }", "KeyError: 'api_key'", "maxTokens=1000", "token=None", "tokens: 12",
     "password: str", "password: <hidden>", "a key: abcdefghijkl", "tests pass: everything",
     "give it --token TOKEN", "or --token <what you got>", "--token-file /etc/visionflow/token",
     "visionflow token create --name laptop", "the cookie: it is stale", "--password --verbose"],
)  # fmt: skip
def test_prose_about_secrets_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_a_text_that_is_made_to_be_searched_for_long_comes_back_as_it_is() -> None:
    for text in (
        "a.b-" * 20_000,
        "'" * 80_000,
        "://" * 30_000,
        "sk- " * 30_000,
        "--" * 40_000,
        "--a " * 20_000,
        "cookie: " * 9_000,
    ):
        assert masked(text) == text


def test_values_under_secret_names_are_found_and_masked_wherever_they_are() -> None:
    tree = {"user": "bob", "auth": {"token": HORSE}, "secret": ["one two", {"x": "three"}], "n": 1}
    assert secret_values(tree) == [HORSE, "one two", "three"]
    assert without_secrets(tree) == {
        "user": "bob", "auth": {"token": "***"}, "secret": ["***", {"x": "***"}], "n": 1,
    }  # fmt: skip
    assert secrets_in({"MY_TOKEN": HORSE, "PATH": "/bin"}) == [HORSE]


def test_the_folder_that_a_shell_says_it_is_in_is_no_secret_and_a_variable_like_it_is() -> None:
    env = {"PWD": "/home/me/project", "OLDPWD": "/home/me", "DB_PWD": HORSE, "pwd": "hunter2222"}
    assert secrets_in(env) == [HORSE, "hunter2222"]


def test_a_known_value_is_hidden_in_each_way_in_which_it_is_written() -> None:
    hidden, value = Hidden(), 'a "quoted"\nsecond line\\'
    hidden.add([value, "short", "aaaaaaaa"])
    for text in (
        value,
        repr(value),
        "x second line\\ y",
        '{"k": "a \\"quoted\\"\\nsecond line\\\\"}',
    ):
        assert "second line" not in hidden.text(text), text
    assert hidden.text("short aaaaaaaa") == "short aaaaaaaa", "words of no use as secrets"


def test_only_so_many_values_are_known_and_the_oldest_go() -> None:
    hidden = Hidden()
    hidden.add(f"value-number-{n}" for n in range(2 * VALUES_MAX))
    assert "***" in hidden.text(f"value-number-{2 * VALUES_MAX - 1}")
    assert hidden.text("value-number-0") == "value-number-0"


def test_what_is_said_is_without_secrets_and_cut_after_that() -> None:
    HIDDEN.add([HORSE])
    assert sendable(f"with {HORSE} inside") == "with *** inside"
    assert sendable("x" * 10 + HORSE, 15) == "x" * 10 + "***"
    assert carried(HORSE) == HORSE


def test_a_stream_masks_line_by_line_also_what_is_written_in_pieces() -> None:
    raw = io.BytesIO()
    stream = MaskedText(raw, masked)
    print("password:", HORSE, file=stream)
    print({"token": HORSE}, end="", file=stream)
    assert raw.getvalue() == b"password: ***\n", "a line that has not ended waits"
    stream.flush()
    assert raw.getvalue().endswith(b"{'token': '***'}")
    stream.write("x" * 70_000)
    assert len(raw.getvalue()) > 70_000, "a line without an end is not kept for ever"
    print("\udc80", file=stream)
    assert raw.getvalue().endswith(b"\\udc80\n")


def test_threads_write_whole_lines() -> None:
    raw = io.BytesIO()
    stream = MaskedText(raw, masked)

    def write(word: str) -> None:
        for _ in range(500):
            stream.write(f"{word}{word}\n")

    threads = [threading.Thread(target=write, args=(word,)) for word in ("ab", "cd", "ef")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines = raw.getvalue().decode().splitlines()
    assert sorted(set(lines)) == ["abab", "cdcd", "efef"] and len(lines) == 1_500
