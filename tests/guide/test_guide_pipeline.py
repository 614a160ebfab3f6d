"""The guide's pipeline: its usage as it stands, and its class on top of ours."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.api.staged_agents import Counter
from tests.guide.guide_text import ABSENT, GUIDE, block
from visionflow import AgentOrchestrator, PipelineCoordinator, PipelineFailed, Task
from visionflow.interfaces.piping import StageRejected

pytestmark = [
    pytest.mark.acceptance("pipeline"),
    pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT),
]
NAME = "class PipelineCoordinator:"
USAGE = "# Usage example"
SAMPLE = {
    "calc/__init__.py": '"""A calculator."""\n',
    "calc/core.py": '"""Sums of the calculator."""\n\nimport os\n\n\n'
    'def add(first, second):\n    """Add two numbers."""\n    return first + second\n',
    "tests/test_core.py": '"""Tests of the calculator."""\n\nfrom calc.core import add\n\n\n'
    "def test_adding():\n    assert add(1, 2) == 3\n",
    "README.md": "# Calculator\n\nIt adds numbers. Build it with pip. Lint findings are mended.\n",
    "pyproject.toml": '[project]\nname = "calc"\nversion = "0"\n'
    '[tool.pytest.ini_options]\npythonpath = ["."]\n',
}


def sample(folder: Path) -> str:
    """A small project with a finding that can be mended mechanically."""
    for name, text in SAMPLE.items():
        path = folder / "calc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    words = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for line in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*words, *line], cwd=folder / "calc", check=True, timeout=60)
    return str(folder / "calc")


def usage(requirements: object) -> tuple[Any, PipelineCoordinator]:
    """Run the guide's usage; its result, and the pipeline that it made."""
    text = block("python", NAME)
    cut = text[text.index(USAGE) :]
    body = "".join(f"    {line}\n" for line in cut.splitlines())
    scope: dict[str, Any] = {
        "PipelineCoordinator": PipelineCoordinator,
        "project_requirements": requirements,
        "kept": [],
    }
    body = body.replace("    result = await", "    kept.append(pipeline)\n    result = await")
    exec(compile(f"async def usage():\n{body}    return result\n", str(GUIDE), "exec"), scope)
    try:
        result = asyncio.run(asyncio.wait_for(scope["usage"](), 300))
    except PipelineFailed as failed:
        result = failed
    return result, scope["kept"][0]


def test_the_guides_usage_runs_as_cut_and_its_last_stages_see_what_the_coder_changed(
    tmp_path: Path,
) -> None:
    goal = "Audit the calculator, and fix the lint findings"
    result, pipeline = usage({"goal": goal, "workspace": sample(tmp_path)})
    report = pipeline.report
    assert report is not None and report.status == "completed", result
    measured = {name: v for stage in report.stages for name, v in stage.measured.items()}
    assert set(measured) == {
        "approval_required", "code_quality", "completeness", "coverage", "pass_rate",
        "scalability_score",
    }  # fmt: skip
    assert measured["pass_rate"] == 1.0 and measured["approval_required"] is True
    assert result["tests"]["outcome"] == "passed"
    assert "import os" in (tmp_path / "calc" / "calc" / "core.py").read_text(), "only read"


def test_the_guides_usage_says_where_it_needs_a_model(tmp_path: Path) -> None:
    goal = "Build a calculator that adds numbers"
    result, pipeline = usage({"goal": goal, "workspace": sample(tmp_path)})
    assert isinstance(result, PipelineFailed)
    assert "needs_model" in str(result) and pipeline.report is not None
    last = [stage for stage in pipeline.report.stages if stage.rounds][-1]
    assert last.stage in ("research", "architecture") and not last.measured.get("scalability_score")


def guided() -> type[PipelineCoordinator]:
    text = block("python", NAME)
    cut = text[: text.index(USAGE)]
    scope: dict[str, Any] = {"Ours": PipelineCoordinator, "Task": Task}
    exec(compile(cut.replace(NAME, f"{NAME[:-1]}(Ours):"), str(GUIDE), "exec"), scope)
    return scope["PipelineCoordinator"]


def test_the_guides_own_methods_run_stages_with_transform_and_validation(tmp_path: Path) -> None:
    kind = guided()
    assert {"__init__", "execute_pipeline"} <= set(vars(kind)), "the bodies are the guide's"
    one = {"stage": "one", "agent_type": "counter", "task_type": "count"}
    ten = {**one, "transform": lambda found: {"n": 10 * found["n"], **found["measures"]}}
    two = {**one, "stage": "two", "validation": {"quality": 0.5}}
    low = {**one, "stage": "low", "validation": {"quality": 0.6}}

    async def main() -> None:
        orchestrator: AgentOrchestrator[Any, Any] = AgentOrchestrator(tmp_path)
        try:
            pipeline = kind([ten, two])
            pipeline.use(orchestrator, {"counter": Counter})
            found = await asyncio.wait_for(pipeline.execute_pipeline({"n": 1}), 120)
            assert found["n"] == 21
            pipeline = kind([low])
            pipeline.use(orchestrator, {"counter": Counter})
            with pytest.raises(StageRejected, match=r"quality is 0\.5, and 0\.6 is demanded"):
                await asyncio.wait_for(pipeline.execute_pipeline({"n": 1}), 120)
        finally:
            await orchestrator.aclose()

    asyncio.run(main())
