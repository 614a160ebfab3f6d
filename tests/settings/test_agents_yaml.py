"""`config/agents.yaml`: what it may say, and that a fault is told with its line."""

from pathlib import Path

import pytest

from visionflow.domain.errors import ConfigError, UsageError
from visionflow.domain.sizes import cpu_millis, memory_bytes
from visionflow.domain.supervision import RecoverySpec, RecyclingSpec, Upkeep
from visionflow.settings import AgentSettings, load_agents

ROOT = Path(__file__).resolve().parents[2]
GIB = 1 << 30


def written(folder: Path, text: str) -> Path:
    path = folder / "agents.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fault_in(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_agents(written(folder, text))
    return str(caught.value)


def test_without_a_file_there_are_the_templates_of_the_guide() -> None:
    settings = load_agents(None)
    assert sorted(settings.templates) == [
        "analyst", "architect", "coder", "coordinator", "peer_agent", "researcher", "reviewer",
        "tester",
    ]  # fmt: skip
    tester = settings.template("tester")
    assert tester.class_path == "visionflow.agents:TesterAgent"
    assert tester.config["coverage_threshold"] == 0.8
    assert (tester.memory_bytes, tester.cpu_millis) == (3 * GIB, 1500)


def test_the_example_in_the_repository_says_what_is_built_in() -> None:
    def told(settings: AgentSettings) -> dict[str, object]:
        return {
            name: (t.class_path, t.config, t.memory_bytes, t.cpu_millis, t.ceiling_bytes)
            for name, t in settings.templates.items()
        }

    assert told(load_agents(ROOT / "config" / "agents.yaml")) == told(load_agents(None))


@pytest.mark.acceptance("config")
def test_only_an_edited_template_has_a_ceiling_of_its_own(tmp_path: Path) -> None:
    text = """
agent_templates:
  tester:
    class: visionflow.agents.TesterAgent
    resources: {memory: "3Gi", cpu: "1.5"}
  reviewer:
    class: visionflow.agents.ReviewerAgent
    resources: {memory: "512Mi"}
"""
    settings = load_agents(written(tmp_path, text))
    assert settings.template("tester").ceiling_bytes is None
    assert settings.template("reviewer").ceiling_bytes == 512 << 20
    assert settings.template("coder").ceiling_bytes is None


@pytest.mark.acceptance("config")
@pytest.mark.parametrize("form", ["mine.py:Mine", "./mine.py:Mine"])
def test_a_class_in_a_file_is_found_from_where_the_yaml_lies(tmp_path: Path, form: str) -> None:
    (tmp_path / "mine.py").touch()
    text = f"agent_templates:\n  mine:\n    class: {form}\n"
    assert load_agents(written(tmp_path, text)).template("mine").class_path == (
        f"{tmp_path / 'mine.py'}:Mine"
    )


def test_module_and_class_may_be_joined_by_a_dot_or_a_colon(tmp_path: Path) -> None:
    text = "agent_templates:\n  a: {class: pkg.mod.Thing}\n  b: {class: 'pkg.mod:Thing.Inner'}\n"
    settings = load_agents(written(tmp_path, text))
    assert settings.template("a").class_path == "pkg.mod:Thing"
    assert settings.template("b").class_path == "pkg.mod:Thing.Inner"


@pytest.mark.acceptance("recover", "recycle")
def test_strategies_have_names_and_templates_say_which_and_when_their_agents_are_replaced(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").touch()
    text = """\
recovery_strategies:
  patient: {timeout_factor: 2, timeout_max: 1h, memory_factor: 2, memory_max: 8Gi, restarts: 5,
            backoff: 250ms, mend_config: true, call: "mine.py:choose"}
agent_templates:
  a: {class: m.A, recovery: patient, recycling: {memory: 0.8, tasks: 100, age: 12h}}
  b: {class: m.B, recycling: {memory: null}}
"""
    settings = load_agents(written(tmp_path, text))
    assert settings.template("a").upkeep == Upkeep(
        RecoverySpec(
            name="patient",
            timeout_factor_bp=20_000,
            timeout_max_ms=3_600_000,
            memory_factor_bp=20_000,
            memory_max_bytes=8 << 30,
            restarts_max=5,
            backoff_ms=250,
            mends_config=True,
            call=f"{tmp_path / 'mine.py'}:choose",
        ),
        RecyclingSpec(memory_bp=8_000, tasks_max=100, age_ms=43_200_000),
    )
    assert settings.template("b").upkeep == Upkeep(RecoverySpec(), RecyclingSpec(memory_bp=None))
    assert settings.template("tester").upkeep == Upkeep()


def test_a_strategy_named_default_holds_where_a_template_names_none(tmp_path: Path) -> None:
    text = "recovery_strategies: {default: {restarts: 9}}\nagent_templates: {a: {class: m.A}}\n"
    found = load_agents(written(tmp_path, text)).template("a").upkeep.recovery
    assert (found.name, found.restarts_max) == ("default", 9)


FAULTS = {
    "a key at the top": ("agents:\n  x: 1\n", ":1: 'agents' is not a key", "agent_templates"),
    "a key of a template": (
        "agent_templates:\n  tester:\n    clas: visionflow.agents.TesterAgent\n",
        ":3: 'clas' is not a key of the template 'tester'. Did you mean 'class'?",
        "Allowed: class, default_config, resources, recovery, recycling.",
    ),
    "a key of resources": (
        "agent_templates:\n  t:\n    class: a.B\n    resources:\n      cpu: 1\n      memry: 4Gi\n",
        ":6: 'memry' is not a key of resources. Did you mean 'memory'?",
        "Allowed: memory, cpu.",
    ),
    "no class": ("agent_templates:\n  t:\n    default_config: {}\n", ":2:", "has no class"),
    "a number for a class": ("agent_templates:\n  t:\n    class: 5\n", ":3:", "must be text"),
    "a class without a module": ("agent_templates:\n  t: {class: Foo}\n", ":2:", "path of a class"),
    "a file that is not there": (
        "agent_templates:\n  t:\n    class: gone.py:Foo\n", ":3:", "There is no Python file",
    ),
    "a bad size": (
        "agent_templates:\n  t:\n    class: a.B\n    resources:\n      memory: 4 gigs\n",
        ":5: '4 gigs' is no amount of memory", "512Mi",
    ),
    "a bad amount of cpu": (
        "agent_templates:\n  t:\n    class: a.B\n    resources: {cpu: two}\n",
        ":4: 'two' is no amount of cpu", "1500m",
    ),
    "a list for settings": (
        "agent_templates:\n  t:\n    class: a.B\n    default_config: [1]\n",
        ":4: default_config is a list", "must be a map",
    ),
    "text for a template": ("agent_templates:\n  t: a.B\n", ":2:", "The template 't' is text"),
    "a key twice": (
        "agent_templates:\n  t: {class: a.B}\n  t: {class: a.C}\n", ":3:", "stands twice",
    ),
    "broken YAML": ("agent_templates:\n  t: {class: a.B\n", ":3:", "This is not YAML"),
    "a Python object": ("agent_templates: !!python/name:os.system\n", ":1:", "This is not YAML"),
    "a strategy that is not there": (
        ("recovery_strategies: {patient: {}}\nagent_templates:\n"
         "  t: {class: a.B, recovery: patent}\n"),
        ":3: There is no recovery strategy 'patent'. Did you mean 'patient'?", "default, patient",
    ),
    "a key of a strategy": (
        "recovery_strategies:\n  p:\n    timeout_facter: 2\nagent_templates: {}\n",
        ":3: 'timeout_facter' is not a key of the strategy 'p'. Did you mean 'timeout_factor'?",
        "Allowed: timeout_factor, timeout_max, memory_factor, memory_max, restarts, backoff,",
    ),
    "a factor that shrinks": (
        "recovery_strategies:\n  p: {memory_factor: 0.5}\nagent_templates: {}\n",
        ":2: memory_factor is 0.5, and must be a number from 1 to 100.", "",
    ),
    "a time that is none": (
        "recovery_strategies:\n  p: {timeout_max: soon}\nagent_templates: {}\n",
        ":2: timeout_max is text, and must be a time.", "12h",
    ),
    "restarts that are no number": (
        "recovery_strategies:\n  p: {restarts: -1}\nagent_templates: {}\n",
        ":2: restarts is -1, and must be a whole number of at least 0.", "",
    ),
    "a word for yes": (
        "recovery_strategies:\n  p: {mend_config: 'maybe'}\nagent_templates: {}\n",
        ":2: mend_config is text, and must be true or false.", "",
    ),
    "a function without a module": (
        "recovery_strategies:\n  p: {call: choose}\nagent_templates: {}\n",
        ":2: 'choose' is not the path of a function.", "path/to/file.py:function",
    ),
    "a share above all": (
        "agent_templates:\n  t:\n    class: a.B\n    recycling: {memory: 1.5}\n",
        ":4: memory is 1.5, and must be a number from 0.1 to 1.", "",
    ),
    "a key of recycling": (
        "agent_templates:\n  t:\n    class: a.B\n    recycling: {task: 5}\n",
        ":4: 'task' is not a key of recycling. Did you mean 'tasks'?", "memory, tasks, age",
    ),
    "nothing at all": ("# only a comment\n", ":1:", "The file is nothing"),
}  # fmt: skip


@pytest.mark.acceptance("agent-templates")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_file_line_and_what_is_allowed(tmp_path: Path, name: str) -> None:
    text, place, words = FAULTS[name]
    said = fault_in(tmp_path, text)
    assert f"{tmp_path / 'agents.yaml'}{place}" in said
    assert words in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read: No such file"):
        load_agents(tmp_path / "gone.yaml")


def test_an_unknown_template_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'tester'"):
        load_agents(None).template("testr")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4Gi", 4 * GIB), ("512Mi", 512 << 20), (1024, 1024), ("1.5k", 1500), ("0", None),
     ("4GiB", None), ("-1", None), (True, None), ("", None)],
)  # fmt: skip
def test_memory_is_read_in_powers_of_1024_and_1000(text: str | int, size: int | None) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "millis"),
    [("2000m", 2000), ("2.0", 2000), (1, 1000), (0.5, 500), ("0", None), ("2 cores", None)],
)
def test_cpu_is_read_in_processors_and_thousandths(text: str | float, millis: int | None) -> None:
    assert cpu_millis(text) == millis


@pytest.mark.acceptance("config")
def test_a_template_of_the_guide_needs_no_class_to_change_a_setting(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text("agent_templates:\n  tester:\n    default_config: {timeout: 1200}\n")
    found = load_agents(file).template("tester")
    assert found.class_path == "visionflow.agents:TesterAgent"
    assert found.config == {"timeout": 1200}
    assert found.source.endswith("agents.yaml:2")
