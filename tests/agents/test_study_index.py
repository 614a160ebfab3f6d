"""The index: what it finds, what it shows of it, and that nothing in a goal acts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tool_projects import write

from visionflow.agents.evidence import Answer
from visionflow.agents.study import index as module
from visionflow.agents.study.history import Message
from visionflow.agents.study.index import Size, TextIndex
from visionflow.agents.study.terms import terms_of
from visionflow.agents.tools.tree import regular_files

FILES: dict[str, str | bytes] = {
    "shop/retry.py": "class RetryPolicy:\n    pass\n\n\ndef again(policy):\n    return policy\n",
    "shop/use.py": (
        "from shop.retry import (\n    RetryPolicy,\n)\n\n"
        "wait = RetryPolicy()\nold_retry_policy = wait\nx = 'retried twice'\n"
    ),
    "tests/test_retry.py": "def test_retry_policy():\n    assert RetryPolicy()\n",
    "README.md": "# Retry policy\n\nA task is retried.\n",
    "conf.yaml": "retry: 3\npassword: hunter2hunter2\n",
}
DEFINED = {("shop/retry.py", 1): "RetryPolicy", ("shop/retry.py", 5): "again"}
LOG = (
    Message("c" * 40, ("Retries wait longer", "", "The policy was wrong.")),
    Message("d" * 40, ("Nothing of it",)),
)


class Opened:
    """An index of `FILES` and some more, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.indexes: list[TextIndex] = []

    def of(self, **more: str | bytes) -> tuple[TextIndex, Size]:
        place = self.root / str(len(self.indexes))
        write(place / "ws", {**FILES, **more})
        made = TextIndex(place / "index" / "index.db", DEFINED)
        self.indexes.append(made)
        names = regular_files(str(place / "ws"))
        code = [name for name in names if name.endswith(".py")]
        documents = [name for name in names if name.endswith(module.DOCUMENTS)]
        return made, made.fill(str(place / "ws"), code, documents, LOG)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path)
    yield made
    for each in made.indexes:
        each.close()


def places(answer: Answer) -> Sequence[str]:
    return [f"{each.path}:{each.line}" for each in answer.citations]


def test_a_definition_comes_first_and_every_source_is_heard(opened: Opened) -> None:
    index, size = opened.of()
    assert (size.code, size.docs, size.log, size.left_out) == (3, 2, 2, ())
    answer = index.answer(["retry"], 5)
    assert places(answer)[0] == "shop/retry.py:1"
    assert {each.source for each in answer.citations} == {"code", "docs", "log"}
    assert answer.citations[0].text == "class RetryPolicy:"
    assert {each.commit for each in answer.citations} == {None, "c" * 40}
    assert answer.hits == 12


def test_words_are_found_by_stem_and_names_by_their_parts(opened: Opened) -> None:
    index, _ = opened.of()
    assert "shop/use.py:7" in places(index.answer(["retries"], 50))
    assert "shop/use.py:6" in places(index.answer(["RetryPolicy"], 50))
    assert "shop/retry.py:1" in places(index.answer(["retry_policy"], 50))
    assert places(index.answer(["retry-policy"], 50))[0] == "shop/retry.py:1"


def test_several_terms_want_lines_with_several_of_them(opened: Opened) -> None:
    index, _ = opened.of()
    answer = index.answer(["retry", "policy"], 50)
    assert "README.md:1" in places(answer)
    assert "README.md:3" not in places(answer)
    assert index.answer(["wrong", "twice"], 50) == Answer(("wrong", "twice"), (), 0)


def test_sources_that_are_not_asked_do_not_answer(opened: Opened) -> None:
    index, _ = opened.of()
    assert {c.source for c in index.answer(["retry"], 9, ["docs"]).citations} == {"docs"}
    assert index.answer(["retry"], 9, []).hits == 0


def test_at_most_two_lines_of_a_file_are_cited_where_others_have_it_too(opened: Opened) -> None:
    index, _ = opened.of(**{"many.py": "needle = 1\nneedle = 2\nneedle = 3\n"})
    assert places(index.answer(["needle"], 9)) == ["many.py:1", "many.py:2"]


@pytest.mark.parametrize(
    "term",
    ['"', '"" OR ""', "a AND", "NEAR(", "retry*", "col:retry", "^retry", "-retry", "'; --", "(",
     "\U0001d518", "{text}: x", "__", "\x00", "ÜBER"],
)  # fmt: skip
def test_nothing_in_a_term_acts(opened: Opened, term: str) -> None:
    index, _ = opened.of()
    for answer in (index.answer([term], 5), index.answer([term, "policy"], 5)):
        assert answer.hits >= len(answer.citations)
    assert index.names([term, "retry"], 5) == ("RetryPolicy",)


def test_what_may_be_a_secret_is_hidden(opened: Opened) -> None:
    index, _ = opened.of(**{"k.py": "password = 'correct-horse-battery'\n"})
    told = [each.text for each in index.answer(["password"], 9).citations]
    assert len(told) == 2
    assert "hunter2" not in str(told) and "horse" not in str(told)


def test_files_with_odd_names_are_cited_by_a_name_that_any_encoder_takes(opened: Opened) -> None:
    index, _ = opened.of(**{"a\nb\udc80.md": "needle\n"})
    assert places(index.answer(["needle"], 9)) == ["a\nb%80.md:1"]


def test_what_is_too_large_or_no_file_is_named(opened: Opened, tmp_path: Path) -> None:
    index, size = opened.of(**{"big.json": b"x" * 600_000})
    assert size.left_out == (("big.json", "not in the index: larger than 500 kB"),)
    assert index.mentions("retry") and not index.mentions("nowhere")


def test_the_index_is_bounded_and_says_what_it_lacks(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 3)
    _, size = opened.of()
    assert (size.code, size.docs, size.log) == (1, 0, 0)
    assert [path for path, _ in size.left_out] == [
        "README.md", "conf.yaml", "shop/use.py", "tests/test_retry.py",
    ]  # fmt: skip
    assert size.left_out[0][1] == "the index ended at 3 lines"


def test_the_same_files_give_the_same_answers(opened: Opened) -> None:
    goals = (["retry"], ["policy", "retry"], ["task"])
    first, second = opened.of()[0], opened.of()[0]
    for goal in goals:
        assert first.answer(goal, 4) == second.answer(goal, 4)


def test_terms_are_what_a_goal_says_of_its_subject() -> None:
    assert terms_of("Audit this repository: security, quality, tests") == (
        "security", "quality", "tests",
    )  # fmt: skip
    assert terms_of("Explain how the RetryPolicy of `lease_ms` works, and the full-text Lease") == (
        "RetryPolicy", "lease_ms", "full-text", "Lease",
    )  # fmt: skip
    assert terms_of("Please explain this code to me in 3 words") == ("words",)
    assert terms_of("") == terms_of("?! -- ''") == ()
    assert len(terms_of(" ".join(f"word{n}" for n in range(99)))) == 12
