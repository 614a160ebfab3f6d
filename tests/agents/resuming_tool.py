"""A tool that speaks as Claude Code does and knows its sessions; written to a file as `claude`."""

import sys
from pathlib import Path

TOOL = """#!{python}
import json, os, sys, time
from pathlib import Path

def tell(**what):
    print(json.dumps(what), flush=True)

home, words = Path(os.environ["HOME"]), sys.argv[1:]
sessions = home / ".claude" / "sessions"
session = words[words.index("--resume") + 1] if "--resume" in words else None
if session is not None and not (sessions / session).exists():
    told = "No conversation found with session ID: " + session
    print(told, file=sys.stderr)
    if {names!r}:  # as 2.1 does
        tell(type="result", subtype="error_during_execution", is_error=True, num_turns=0,
             session_id=session, total_cost_usd=0, modelUsage={{}}, errors=[told],
             usage=dict(input_tokens=0, output_tokens=0))
    sys.exit(1)
begun = session is None
session = session or "11111111-2222-3333-4444-555555555555"
sessions.mkdir(parents=True, exist_ok=True)
(sessions / session).touch()
tell(type="system", subtype="init", session_id=session, model="m", tools=[], cwd=os.getcwd())
say = {say!r}
if say:
    for name in (".claude/.credentials.json", ".ssh/id"):
        place = home / name
        print(place.read_text() if place.exists() else "no " + name, flush=True)
    print(os.environ.get("ANTHROPIC_API_KEY"), os.environ.get("OPENAI_API_KEY"), flush=True)
if begun:
    Path("first.txt").write_text("by the first go\\n")
    if {hangs!r}:
        time.sleep(3600)
else:
    Path("second.txt").write_text("by the second go\\n")
tell(type="result", subtype="success", is_error=False, session_id=session, num_turns=2,
     result="done with it", total_cost_usd=0.01,
     usage={{"input_tokens": 100, "output_tokens": 7}})
"""


def write_tool(folder: Path, *, hangs: bool = False, say: bool = False, names: bool = True) -> str:
    """The command line that runs it. `names`: it tells the session that it does not know."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "claude"
    place.write_text(TOOL.format(python=sys.executable, hangs=hangs, say=say, names=names))
    place.chmod(0o755)
    return f"{place} -p {{goal}}"
