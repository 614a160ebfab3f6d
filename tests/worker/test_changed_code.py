"""Code that changes under a process: what is built anew runs what stands there now, or says so."""

import sys
from pathlib import Path
from typing import Any

import pytest
from orchestra import Bench, run, spec, task, unpacked

from visionflow.agents.loading import is_outdated, load_agent_class, load_current_class
from visionflow.domain.errors import ConfigError
from visionflow.domain.messages import AgentUp, HostAgent, LogLine

AGENT = """\
from visionflow import BaseAgent

class Told(BaseAgent):
    def process_task(self, task):
        return "{}"
"""


class Files(dict[str, Any]):
    """Agents by their import path, loaded as a worker does."""

    def __missing__(self, path: str) -> Any:
        return load_current_class(path)


def test_a_file_that_has_changed_is_loaded_anew_and_one_that_has_not_is_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "told.py"
    path = f"{file}:Told"
    file.write_text(AGENT.format("one"))
    first = load_current_class(path)
    assert load_current_class(path) is first and not is_outdated(path)
    # Of the same size, and within the second in which Python's own cache takes it for the same.
    file.write_text(AGENT.format("two"))
    assert load_agent_class(path) is first and is_outdated(path)
    second = load_current_class(path)
    assert second is not first and load_agent_class(path) is second and not is_outdated(path)
    file.write_text("no python\n")
    with pytest.raises(ConfigError, match="SyntaxError"):
        load_current_class(path)
    file.write_text(AGENT.format("one"))
    assert load_current_class(path).__name__ == "Told"


def test_an_agent_that_is_built_anew_runs_what_its_file_says_now(tmp_path: Path) -> None:
    file = tmp_path / "told.py"
    file.write_text(AGENT.format("one"))

    async def body() -> None:
        bench, made = Bench(tmp_path, Files()), spec("a1", f"{file}:Told")
        await bench.start()
        bench.orchestrator.tell(HostAgent(made, 0))
        await bench.orchestrator.wait_for(AgentUp)
        bench.orchestrator.tell(task("t1"))
        assert unpacked((await bench.orchestrator.end_of("t1")).value) == "one"
        file.write_text(AGENT.format("two"))
        bench.orchestrator.tell(HostAgent(made, 1))
        await bench.orchestrator.wait_for(AgentUp, 2)
        bench.orchestrator.tell(task("t2"))
        assert unpacked((await bench.orchestrator.end_of("t2")).value) == "two"
        assert bench.orchestrator.all(LogLine) == []
        await bench.stop()

    run(body())


def test_a_module_that_has_changed_is_not_loaded_anew_and_its_agent_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "told_by_name.py"
    file.write_text(AGENT.format("one"))

    async def body() -> None:
        bench, made = Bench(tmp_path, Files()), spec("a1", "told_by_name:Told")
        await bench.start()
        bench.orchestrator.tell(HostAgent(made, 0))
        await bench.orchestrator.wait_for(AgentUp)
        file.write_text(AGENT.format("twice"))
        bench.orchestrator.tell(HostAgent(made, 1))
        await bench.orchestrator.wait_for(AgentUp, 2)
        bench.orchestrator.tell(task("t1"))
        assert unpacked((await bench.orchestrator.end_of("t1")).value) == "one"
        (line,) = await bench.orchestrator.wait_for(LogLine)
        assert (line.agent, line.level) == ("a1", "warning")
        assert "told_by_name:Told" in line.text and "has changed since" in line.text
        await bench.stop()

    try:
        run(body())
    finally:
        sys.modules.pop("told_by_name", None)
