"""Reviews the folder named on the command line with an agent of the template `reviewer`."""

import sys
from pathlib import Path

from visionflow import AgentOrchestrator, Task

if __name__ == "__main__":
    workspace = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    with AgentOrchestrator(agents=Path(__file__).parents[1] / "config" / "agents.yaml") as fleet:
        (reviewer,) = fleet.spawn_template("reviewer", config={"timeout": 120})
        task = Task(type="review_code", input={"workspace": str(workspace)})
        for tool in reviewer.submit(task).result()["tools"]:
            print(tool["tool"], tool["ended"], f"{len(tool['findings'])} findings")
