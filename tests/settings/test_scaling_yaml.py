"""What `config/agents.yaml` says of the numbers of agents, and of what each may use."""

from pathlib import Path

import pytest

from visionflow.domain.errors import ConfigError
from visionflow.engine.scaling import Bounds, Rules
from visionflow.settings import load_agents
from visionflow.settings.agents import AgentSettings
from visionflow.settings.scaling import USUAL_BOUNDS, ScalingSettings

GIB = 1 << 30
GUIDE = """
# Horizontal Scaling
min_agents_per_type:
  coordinator: 1
  researcher: 2
  architect: 1
  coder: 3
  tester: 2
  reviewer: 1

max_agents_per_type:
  coordinator: 2
  researcher: 5
  architect: 2
  coder: 10
  tester: 5
  reviewer: 3

# Vertical Scaling
resource_limits:
  coordinator:
    memory: "4Gi"
    cpu: "2.0"
  researcher:
    memory: "2Gi"
    cpu: "1.0"
  coder:
    memory: "4Gi"
    cpu: "2.0"
  architect:
    memory: "3Gi"
    cpu: "1.5"
  tester:
    memory: "3Gi"
    cpu: "1.5"
  reviewer:
    memory: "2Gi"
    cpu: "1.0"
"""


def read(folder: Path, text: str) -> AgentSettings:
    path = folder / "agents.yaml"
    path.write_text(text, encoding="utf-8")
    return load_agents(path)


def fault_in(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


@pytest.mark.acceptance("scale")
def test_the_guides_block_stands_as_typed_and_its_limits_are_ceilings(tmp_path: Path) -> None:
    settings = read(tmp_path, GUIDE)
    assert settings.scaling.bounds == USUAL_BOUNDS
    assert not settings.scaling.autoscale, "it is off until somebody says so"
    coder, reviewer = settings.template("coder"), settings.template("reviewer")
    assert (coder.ceiling_bytes, coder.cpu_millis) == (4 * GIB, 2_000)
    assert (reviewer.ceiling_bytes, reviewer.cpu_millis) == (2 * GIB, 1_000)


def test_without_a_file_the_guides_bounds_hold_and_no_ceiling() -> None:
    settings = load_agents(None)
    assert settings.scaling == ScalingSettings()
    assert settings.scaling.bounds["coder"] == Bounds(3, 10)
    assert settings.template("coder").ceiling_bytes is None


def test_it_is_switched_on_and_its_rules_and_bounds_may_stand_together(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "autoscale: true\n"
        "autoscaling:\n"
        "  cool_down: 90s\n"
        "  queue_wait: 5\n"
        "  utilisation: 0.75\n"
        "  min_agents_per_type: {coder: 0}\n"
        "  max_agents_per_type: {coder: 4}\n",
    ).scaling
    assert found.autoscale
    assert found.rules == Rules(utilisation_bp=7_500, queue_wait_ms=5_000, cool_down_ms=90_000)
    assert found.bounds == {**USUAL_BOUNDS, "coder": Bounds(0, 4)}


def test_a_template_of_ones_own_is_bounded_where_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine: pass\n", encoding="utf-8")
    text = "agent_templates: {mine: {class: mine.py:Mine}}\n"
    assert "mine" not in read(tmp_path, text).scaling.bounds
    text += "max_agents_per_type: {mine: 2}\nresource_limits: {mine: {memory: 1Gi}}\n"
    found = read(tmp_path, text)
    assert found.scaling.bounds["mine"] == Bounds(0, 2)
    assert found.template("mine").ceiling_bytes == GIB


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("autoscale: maybe\n", "agents.yaml:1: autoscale is text, and must be"),
        ("autoscaling:\n  cooldown: 5\n", "agents.yaml:2: 'cooldown' is not a key of autoscaling"),
        ("autoscaling:\n  cool_down: soon\n", "agents.yaml:2: cool_down is text, and must be"),
        ("autoscaling:\n  utilisation: 90\n", "agents.yaml:2: utilisation is 90"),
        ("min_agents_per_type:\n  coders: 3\n", "agents.yaml:2: 'coders' is not a key"),
        ("max_agents_per_type:\n  coder: -1\n", "agents.yaml:2: max_agents_per_type.coder is -1"),
        ("max_agents_per_type:\n  coder: 2\n", "agents.yaml:2: coder has a minimum of 3 and"),
        ("min_agents_per_type:\n  coder: 11\n", "coder has a minimum of 11 and a maximum of 10"),
        (
            "min_agents_per_type: {coder: 1}\nautoscaling:\n  min_agents_per_type: {coder: 1}\n",
            "agents.yaml:3: min_agents_per_type stands twice, first in line 1",
        ),
        ("resource_limits:\n  coder: {memory: lots}\n", "agents.yaml:2: 'lots' is no amount"),
        ("resource_limits:\n  coder: {disk: 1Gi}\n", "agents.yaml:2: 'disk' is not a key of"),
    ],
)
def test_a_fault_names_its_line(text: str, told: str, tmp_path: Path) -> None:
    assert told in fault_in(tmp_path, text)
