"""The measured study of votes: the docs have what the command gives, and a picture of it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from visionflow.testing.vote_study import (
    BEGIN,
    END,
    ONE,
    SAMPLE,
    SEEDS,
    SIZES,
    WAYS,
    Cell,
    chart,
    sample,
    study,
    table,
    write,
)

DOCS = Path(__file__).parents[2] / "docs"
SOME = 40


@pytest.mark.acceptance("consensus")
def test_the_page_has_what_the_command_gives() -> None:
    """The whole of it takes its time; the page names a digest of what its first seeds come to."""
    text = (DOCS / "consensus.md").read_text(encoding="utf-8")
    part = text.split(BEGIN)[1].split(END)[0]
    assert f"{SEEDS} seeds; the first {SAMPLE}: {sample()}" in part, (
        "run: visionflow simulate --votes --seeds 1000 --docs docs"
    )
    rows = [line for line in part.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + sum(len(planted) for _, planted in SIZES)
    assert all(name in rows[0] for name in WAYS)
    ElementTree.parse(DOCS / "images" / "consensus.svg")


def test_a_majority_is_better_than_one_agent_until_half_are_planted_and_weights_hold_longer() -> (
    None
):
    found = {(members, planted): cells for members, planted, cells in study(SOME)}
    calm, half = found[9, 0], found[9, 5]
    assert calm["majority"].wrong < calm[ONE].wrong
    assert half["majority"] == Cell(SOME, 0), "five of nine outvote four"
    assert half["weighted"].wrong < half[ONE].wrong
    assert half["unanimous"].undecided >= SOME - 2


def test_the_table_and_the_picture_are_written_into_the_docs(tmp_path: Path) -> None:
    rows = list(study(2))
    page = tmp_path / "consensus.md"
    (tmp_path / "images").mkdir()
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write(tmp_path, rows, 2)
    text = page.read_text(encoding="utf-8")
    assert table(rows, 2) in text and "old" not in text
    assert text.startswith("# Before") and text.endswith("after\n")
    assert (tmp_path / "images" / "consensus.svg").read_text(encoding="utf-8") == chart(rows, 2)
