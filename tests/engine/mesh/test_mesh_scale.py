"""A mesh that grows: what each peer sends does not, and the page says what the command gives."""

from pathlib import Path

import pytest

from tests.cli.command_line import visionflow
from visionflow.testing.mesh_scale import (
    BEGIN,
    END,
    PAGE,
    SAMPLE,
    Scale,
    measure,
    sample,
    sizes,
    table,
    write,
)
from visionflow.testing.meshes import CALM, Mesh

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def scales() -> dict[int, Scale]:
    """Measured once."""
    return {agents: measure(agents, 0) for agents in (10, 100)}


@pytest.mark.acceptance("mesh")
def test_a_thousand_peers_send_as_much_each_as_ten_do() -> None:
    sent: dict[int, float] = {}
    size: dict[int, float] = {}
    for agents in (10, 1_000):
        mesh = Mesh(1, CALM, as_bytes=False)
        mesh.start(f"p{number:04}" for number in range(agents))
        mesh.run(3_000)
        mesh.traffic()
        mesh.run(6_000)
        traffic = mesh.traffic()
        sent[agents] = traffic.messages / agents
        size[agents] = traffic.bytes / agents
    assert sent[1_000] == pytest.approx(sent[10], rel=0.05)
    assert size[1_000] == pytest.approx(size[10], rel=0.1)


@pytest.mark.acceptance("mesh")
def test_whatever_happens_all_know_and_what_each_sends_is_bounded(scales: dict[int, Scale]) -> None:
    for scale in scales.values():
        for stage in scale.stages:
            assert stage.ms is not None, stage
    for ten, hundred in zip(scales[10].stages, scales[100].stages, strict=True):
        if ten.what != "it joins again":  # which takes an instant, and all members agree on it
            assert hundred.load.messages < 16
            assert hundred.load.messages < 3 * ten.load.messages


def test_the_time_until_all_know_of_one_thing_grows_slower_than_the_mesh(
    scales: dict[int, Scale],
) -> None:
    for ten, hundred in zip(scales[10].stages, scales[100].stages, strict=True):
        assert ten.ms is not None
        assert hundred.ms is not None
        assert hundred.ms <= 4 * ten.ms


def test_the_same_seed_shows_the_same(scales: dict[int, Scale]) -> None:
    assert measure(10, 0) == scales[10]
    assert measure(10, 1) != scales[10]


def test_the_page_has_what_the_command_gives() -> None:
    part = (DOCS / PAGE).read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert f"seed 0; of {SAMPLE} agents: {sample()}" in part, (
        "run: visionflow simulate --mesh --agents 1000 --docs docs"
    )
    assert "| 10 | 100 | 300 | 1,000 |" in part
    assert "never" not in part


def test_the_table_is_written_into_the_docs(tmp_path: Path, scales: dict[int, Scale]) -> None:
    page = tmp_path / PAGE
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write(tmp_path, list(scales.values()))
    text = page.read_text(encoding="utf-8")
    assert table(list(scales.values())) in text
    assert "old" not in text
    assert text.startswith("# Before")
    assert text.endswith(f"{END}\nafter\n")


def test_the_command_shows_smaller_meshes_beside_the_one_asked_for() -> None:
    assert sizes(1_000) == [10, 100, 300, 1_000]
    assert sizes(6) == [6]
    ran = visionflow("simulate", "--mesh", "--agents", "12")
    assert ran.returncode == 0, ran.stderr
    assert "| 10 | 12 |" in ran.stdout
    ran = visionflow("simulate", "--mesh", "--agents", "2")
    assert ran.returncode == 2
    assert "at least 3" in ran.stderr
