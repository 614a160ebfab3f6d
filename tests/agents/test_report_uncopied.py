"""The line of trust names what could not even be copied."""

from visionflow.agents.tools.report import report_markdown
from visionflow.agents.tools.summary import RunSummary


def test_a_path_that_could_not_be_copied_is_in_the_line_of_trust() -> None:
    summary = RunSummary(
        run="r",
        goal="Test it",
        workspace="/w",
        status="completed",
        gates={},
        findings=None,
        seconds=1.0,
        notes=("tests/test_a.py: not read (Permission denied)",),
    )
    first = report_markdown(summary).splitlines()[0]
    assert "1 paths of the workspace could not be copied" in first
