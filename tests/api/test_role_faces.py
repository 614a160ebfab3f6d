"""The roles as the guide writes them: names, methods, bodies, and the samples of docs/roles.md."""

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agents.unconfined import UnconfinedSandbox
from visionflow import agents
from visionflow.agents import BaseAgent, ReviewerAgent, TesterAgent
from visionflow.agents.roles.reviewing import ReviewReport
from visionflow.agents.study.characterising import TestSuite as Suite
from visionflow.compose.local import local_agent

ROLES_MD = (Path(__file__).resolve().parents[2] / "docs" / "roles.md").read_text(encoding="utf-8")
METHODS = {
    "CoordinatorAgent": ("process_task",),
    "ResearcherAgent": ("process_task",),
    "ArchitectAgent": ("process_task",),
    "CoderAgent": ("process_task",),
    "TesterAgent": (
        "process_task", "generate_test_suite", "generate_unit_tests",
        "generate_integration_tests", "generate_e2e_tests", "run_tests_with_coverage",
    ),
    "ReviewerAgent": (
        "process_task", "review_code", "analyse_quality", "check_security",
        "check_best_practices", "analyse_performance",
    ),
}  # fmt: skip


def project(folder: Path) -> Path:
    """The folder of the samples, from the page itself."""
    for name, text in re.findall(r"```py\n# (\S+)\n(.*?)```", ROLES_MD, re.DOTALL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n{text}", encoding="utf-8")
    (folder / "project" / "shop" / "__init__.py").touch()
    return folder / "project"


def samples() -> list[tuple[str, str]]:
    """(program, what the page says that it prints)."""
    return re.findall(r"```python\n(.*?)```.*?It prints:\n\n```text\n(.*?)```", ROLES_MD, re.DOTALL)


def test_the_page_has_its_samples() -> None:
    assert len(samples()) == len(re.findall(r"```python\n", ROLES_MD)) == 3


@pytest.mark.parametrize("number", range(3))
def test_a_sample_of_the_page_prints_what_the_page_says(tmp_path: Path, number: int) -> None:
    program, printed = samples()[number]
    project(tmp_path)
    script = tmp_path / "sample.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == (printed, "")
    assert sorted(path.name for path in (tmp_path / "project").rglob("*.py")) == [
        "__init__.py", "price.py", "sums.py",
    ]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_the_guides_classes_have_its_methods(name: str) -> None:
    role: type[BaseAgent] = getattr(agents, name)
    assert issubclass(role, BaseAgent)
    for method in METHODS[name]:
        assert inspect.iscoroutinefunction(getattr(role, method)), method
    assert all(inspect.getdoc(getattr(role, method)) for method in METHODS[name])


# The guide's own bodies of the two methods that it writes out, as they stand there.


class GuidesReviewer(ReviewerAgent):
    async def review_code(self, code_submission: Any) -> Any:
        quality_issues = await self.analyse_quality(code_submission)
        security_issues = await self.check_security(code_submission)
        practice_issues = await self.check_best_practices(code_submission)
        performance_issues = await self.analyse_performance(code_submission)
        return ReviewReport(
            quality=quality_issues,
            security=security_issues,
            practices=practice_issues,
            performance=performance_issues,
            recommendation=self.make_recommendation([
                quality_issues,
                security_issues,
                practice_issues,
                performance_issues,
            ]),
        )  # fmt: skip


class GuidesTester(TesterAgent):
    async def generate_test_suite(self, implementation: Any) -> Any:
        unit_tests = await self.generate_unit_tests(implementation)
        integration_tests = await self.generate_integration_tests(implementation)
        e2e_tests = await self.generate_e2e_tests(implementation)
        coverage = await self.run_tests_with_coverage([
            *unit_tests,
            *integration_tests,
            *e2e_tests,
        ])  # fmt: skip
        return Suite(
            unit=unit_tests, integration=integration_tests, e2e=e2e_tests, coverage=coverage
        )


def used(kind: type[BaseAgent], method: str, given: object) -> Any:
    """What a method of an agent of this class gives."""

    async def use() -> Any:
        async with local_agent(kind, open_sandbox=UnconfinedSandbox) as agent:
            return await getattr(agent, method)(given)

    return asyncio.run(use())


def test_the_guides_review_gives_a_report_with_a_recommendation(tmp_path: Path) -> None:
    theirs = used(GuidesReviewer, "review_code", project(tmp_path))
    assert theirs.recommendation == "request_changes" and theirs.approved is False
    assert [(issue.path, issue.line) for issue in theirs.security] == [("shop/price.py", 3)]


def test_the_guides_suite_pins_what_functions_do_also_where_there_was_no_test(
    tmp_path: Path,
) -> None:
    suite = used(GuidesTester, "generate_test_suite", project(tmp_path))
    assert [file.functions for file in suite.unit] == [("price",), ("double",)]
    assert suite.coverage == 1.0
    assert list(suite.integration) == list(suite.e2e) == []
