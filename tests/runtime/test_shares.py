"""What of a flood of lines is written, and what is told of the rest."""

from types import SimpleNamespace
from typing import Any, cast

from tests.runtime.scene import Lines
from visionflow.runtime.shares import AGENT_LINES_MAX, AgentLines

NOBODY = SimpleNamespace(agents={}, departing={})


class Timers:
    """A host whose timers nobody fires."""

    def call_later(self, delay_ms: int, call: object) -> "Timers":
        return self

    def cancel(self) -> None:
        pass


def test_lines_that_a_worker_left_out_are_told_with_those_that_are_left_out_here() -> None:
    told = Lines()
    lines = AgentLines(cast(Any, Timers()), cast(Any, told), cast(Any, NOBODY))
    for number in range(AGENT_LINES_MAX + 20):
        lines.write("w1", None, "info", f"line {number}")
    lines.write("w1", None, "info", "", 29_000)
    lines.close()
    assert len(told.of("agent")) == AGENT_LINES_MAX
    (left_out,) = told.of("lines_left_out")
    assert left_out.startswith("29020 of worker w1's lines")
