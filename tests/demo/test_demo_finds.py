"""What the roles find of the planted faults: all of them, and nothing else."""

from pathlib import Path

import pytest

from scripts import precision
from visionflow.compose.demo.evaluating import Evaluation


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return precision.measure(tmp_path_factory.mktemp("sample"), True)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return precision.measure(tmp_path_factory.mktemp("twin"), False)


def test_every_planted_fault_is_found_and_none_is_invented(sample: Evaluation) -> None:
    assert sample.missed == ()
    assert sample.invented == ()


def test_nothing_is_reported_of_the_clean_twin(twin: Evaluation) -> None:
    assert twin.invented == ()
    assert twin.missed == ()


def test_the_page_on_precision_says_what_is_measured(sample: Evaluation, twin: Evaluation) -> None:
    page = Path(precision.PAGE).read_text(encoding="utf-8")
    assert page == precision.with_measured(page, precision.measured(sample, twin))
