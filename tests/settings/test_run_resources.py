"""What `resources` of a template come to in a run: a ceiling, or a word that there is none.

That the ceiling holds is shown where processes are.
"""

from pathlib import Path

import pytest
from role_bench import written

from visionflow.adapters.memory import MemoryBlobs
from visionflow.compose.job import create_run
from visionflow.compose.job.outputs import facts_of
from visionflow.compose.job.story import Story

TEMPLATES = """agent_templates:
  tester: {{class: visionflow.agents.TesterAgent, resources: {{memory: {memory}, cpu: "{cpu}"}}}}
"""


@pytest.mark.acceptance("config")
def test_a_ceiling_goes_with_the_run_and_a_share_of_processors_is_warned_about(
    tmp_path: Path,
) -> None:
    workspace = written(tmp_path / "ws", {"a.py": "x = 1\n"})
    told: list[tuple[int | None, tuple[str, ...]]] = []
    for memory, cpu in (("3Gi", "1.5"), ("512Mi", "0.5")):
        path = tmp_path / "agents.yaml"
        path.write_text(TEMPLATES.format(memory=memory, cpu=cpu), encoding="utf-8")
        folder = create_run("Test it", workspace, tmp_path / "out", agents=path)
        order = folder.read_order()
        facts = facts_of(folder, order, Story(order.plan), "running", MemoryBlobs())
        told.append((order.agents["tester"].memory_bytes, facts.warnings))
    why = "tester: resources.cpu has no effect: nothing here holds an agent to its share"
    assert told == [(None, ()), (512 << 20, (why,))]
