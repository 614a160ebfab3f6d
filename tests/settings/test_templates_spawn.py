"""Agents from templates, through the Python face and real worker processes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow import AgentOrchestrator, Limits, Task
from visionflow.domain.errors import ConfigError, LimitReached, Refused, UnknownId, UsageError
from visionflow.testing.role_docs import ROLES, role_facts

MINE = """
from visionflow import BaseAgent


class Greeter(BaseAgent):
    capabilities = ("greeting",)

    async def process_task(self, task):
        return f"{self.config['word']}, {task.input}!"
"""
YAML = """
agent_templates:
  greeter:
    class: greeter.py:Greeter
    default_config: {word: Hello, loud: false}
    resources: {memory: 256Mi, cpu: 500m}
"""
WAIT_S = 60


def greeter(folder: Path, text: str = YAML) -> Path:
    (folder / "greeter.py").write_text(MINE, encoding="utf-8")
    path = folder / "agents.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.acceptance("agent-templates")
def test_a_class_of_ones_own_is_spawned_by_its_template_and_works(tmp_path: Path) -> None:
    with AgentOrchestrator(agents=greeter(tmp_path)) as fleet:
        plain, other = (
            *fleet.spawn_template("greeter"),
            *fleet.spawn_template("greeter", config={"word": "Moin"}),
        )
        assert plain.config == {"word": "Hello", "loud": False}
        assert (plain.type, plain.capabilities) == ("greeter", ("greeting",))
        assert plain.memory_bytes == 256 << 20
        assert plain.submit(Task(input="Ada")).result(WAIT_S) == "Hello, Ada!"
        assert other.submit(Task(input="Ada")).result(WAIT_S) == "Moin, Ada!"
        found = fleet.submit(Task(input="Bo", required_capabilities=["greeting"]))
        assert found.result(WAIT_S) in ("Hello, Bo!", "Moin, Bo!")


@pytest.mark.acceptance("agent-templates", "config")
def test_an_edit_of_the_file_shows_in_the_next_spawn(tmp_path: Path) -> None:
    edited = YAML.replace("word: Hello", "word: Salut").replace("256Mi", "300Mi")
    with AgentOrchestrator(agents=greeter(tmp_path, edited)) as fleet:
        (agent,) = fleet.spawn_template("greeter")
        assert agent.memory_bytes == 300 << 20
        assert agent.submit(Task(input="Ada")).result(WAIT_S) == "Salut, Ada!"


@pytest.mark.acceptance("agent-templates")
def test_a_typo_in_the_file_stops_the_program_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agents\.yaml:6: 'memori' is not a key of resources"):
        AgentOrchestrator(agents=greeter(tmp_path, YAML.replace("memory", "memori")))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("greeter.py:Greter", "has no Greter"),
        ("no_such_module.Thing", "The module no_such_module cannot be imported"),
        ("visionflow.agents.TestrAgent", "Did you mean TesterAgent"),
    ],
)
def test_a_class_that_cannot_be_imported_is_told_with_line_and_what_was_tried(
    tmp_path: Path, written: str, said: str
) -> None:
    path = greeter(tmp_path, YAML.replace("greeter.py:Greeter", written))
    with AgentOrchestrator(agents=path) as fleet:
        with pytest.raises(ConfigError, match=said) as caught:
            fleet.spawn_template("greeter")
    assert f"{path}:4: The class of the template 'greeter' cannot be used. Tried " in str(
        caught.value
    )


@pytest.mark.acceptance("agent-templates")
def test_every_role_of_the_guide_is_spawned_by_its_template_with_its_capabilities() -> None:
    with AgentOrchestrator() as fleet:
        for role in ROLES:
            (agent,) = fleet.spawn_template(role)
            facts = role_facts(role)
            assert (agent.type, agent.capabilities) == (role, facts.kind.capabilities)
            assert agent.memory_bytes is None


def test_a_template_without_limits_of_its_own_shares_a_process() -> None:
    with AgentOrchestrator() as fleet:
        (agent,) = fleet.spawn_template("tester", count=1, config={"timeout": 60})
        assert agent.memory_bytes is None
        assert agent.config["timeout"] == 60
        assert agent.config["test_framework"] == "pytest"


@pytest.mark.acceptance("python-api")
def test_the_guides_calls_work_on_an_orchestrator_that_nobody_opened(tmp_path: Path) -> None:
    async def guide() -> None:
        orchestrator = AgentOrchestrator(agents=greeter(tmp_path))
        try:
            swarm = await orchestrator.initialize_swarm(topology="hierarchical", max_agents=3)
            assert swarm.agents_max == 3
            one = await orchestrator.spawn_agent(
                agent_type="greeter", swarm_id=swarm.id, config={"word": "Hej"}
            )
            assert one.id
            assert await one.process_task(Task(input="Ada")) == "Hej, Ada!"
            team = await orchestrator.spawn_agents(
                [{"type": "greeter", "count": 1}, {"type": "reviewer", "config": {"timeout": 9}}]
            )
            assert [agent.type for agent in team] == ["greeter", "reviewer"]
            with pytest.raises(LimitReached):
                await orchestrator.spawn_agent("greeter")
            with pytest.raises(UnknownId):
                await orchestrator.spawn_agent("greeter", swarm_id="another")
            with pytest.raises(UsageError, match="type, count and config"):
                await orchestrator.spawn_agents([{"typ": "greeter"}])
            with pytest.raises(Refused, match="has its swarm already"):
                await orchestrator.initialize_swarm()
        finally:
            await orchestrator.aclose()

    asyncio.run(guide())


def test_a_topology_that_is_not_there_is_refused_with_those_that_are() -> None:
    orchestrator = AgentOrchestrator(limits=Limits(agents_max=1))
    with pytest.raises(UsageError, match="There is hierarchical"):
        asyncio.run(orchestrator.initialize_swarm(topology="ringy"))
    orchestrator.close()


@pytest.mark.acceptance("python-api", "agent-templates")
def test_the_example_with_a_template_runs_as_a_script(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import os\n", encoding="utf-8")
    script = Path(__file__).resolve().parents[2] / "examples" / "review_a_folder.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "bandit completed 0 findings",
        "complexipy completed 0 findings",
        "detect-secrets completed 0 findings",
        "ruff completed 1 findings",
        "vulture completed 0 findings",
    ]
