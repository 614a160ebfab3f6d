"""What docs/topologies.md shows is what happens, and what it tells is what the code has."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from visionflow.domain.swarms import Strategy, Topology
from visionflow.engine.topology.choosing import BIDDING_WORTH_US, BIDS_MAX
from visionflow.engine.topology.rules import STAGES

PAGE = (Path(__file__).parents[2] / "docs" / "topologies.md").read_text(encoding="utf-8")


@pytest.mark.acceptance("swarm-topology")
def test_the_sample_of_the_page_prints_what_the_page_says() -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    printed = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[-1]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(sample, "docs/topologies.md", "exec"), {})
    assert out.getvalue() == printed


def test_the_page_tells_every_topology_strategy_stage_and_bound() -> None:
    for word in (*Topology, *Strategy):
        assert f"| `{word}` |" in PAGE, word
    assert ", ".join(STAGES) in " ".join(PAGE.split())
    assert (BIDS_MAX, BIDDING_WORTH_US) == (16, 1_000_000)
    assert "at most sixteen" in PAGE and "took a second or more" in PAGE
