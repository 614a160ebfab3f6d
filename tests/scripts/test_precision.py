"""The page on precision holds what was measured, between its marks."""

import pytest

from scripts import precision
from visionflow.compose.demo.evaluating import Evaluation, Row


def test_figures_are_put_between_the_marks_and_the_rest_stays() -> None:
    sample = Evaluation((Row("shell", 2, 1, ("b",), ("finding x at a:1",)),), ("a",))
    text = precision.measured(sample, Evaluation((), ()))
    page = precision.with_measured(f"top {precision.BEGIN} old {precision.END} end", text)
    assert page.startswith("top ") and page.endswith(" end") and " old " not in page
    assert "Of 2 planted, 1 were found (recall 50 %)" in page
    assert "| shell | 2 | 1 | 1 | 0 | 50 % | 50 % |" in page
    assert "- missed: b" in page and "- invented in the sample: finding x at a:1" in page
    assert precision.with_measured(page, text) == page


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        precision.with_measured("nothing", "text")
