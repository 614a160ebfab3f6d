"""Programs named `claude` and `codex` for tests: they speak as those do and make a fixed change.

Installed by `pretend` into a folder for PATH. They take any flags, and read no network.
"""

import sys
from pathlib import Path

CLAUDE = """#!{python}
import json, sys
from pathlib import Path
if "--version" in sys.argv:
    print("2.1.0 (Claude Code)"); sys.exit(0)
place = Path("app/login.py")
text = place.read_text()
if "MOST" not in text:
    place.write_text("MOST = 3\\n_failed = {{}}\\n\\n\\n" + text.replace(
        "    return PASSWORDS.get(user) == password\\n",
        "    if _failed.get(user, 0) >= MOST:\\n        raise PermissionError(user)\\n"
        "    good = PASSWORDS.get(user) == password\\n"
        "    _failed[user] = 0 if good else _failed.get(user, 0) + 1\\n    return good\\n"))
session = "11111111-2222-4333-8444-555555555555"
for event in (
    {{"type": "system", "subtype": "init", "session_id": session, "model": "claude-sonnet-4-5"}},
    {{"type": "assistant", "session_id": session, "message": {{"role": "assistant", "content": [
        {{"type": "text", "text": "Three failed logins lock a user out now."}}],
        "usage": {{"input_tokens": 9000, "output_tokens": 410}}}}}},
    {{"type": "result", "subtype": "success", "is_error": False, "num_turns": 4,
      "session_id": session, "result": "Three failed logins lock a user out now.",
      "total_cost_usd": 0.0412, "usage": {{"input_tokens": 9000, "output_tokens": 410,
      "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}}}},
):
    print(json.dumps(event), flush=True)
"""
CODEX = """#!{python}
import json, sys
from pathlib import Path
if "--version" in sys.argv:
    print("codex-cli 0.171.0"); sys.exit(0)
place = Path("app/login.py")
text = place.read_text()
if "MOST" not in text:
    place.write_text("MOST = 3\\n_tried = {{}}\\n\\n\\n" + text.replace(
        "    return PASSWORDS.get(user) == password\\n",
        "    _tried[user] = _tried.get(user, 0) + 1\\n"
        "    if _tried[user] > MOST:\\n        raise PermissionError(user)\\n"
        "    return PASSWORDS.get(user) == password\\n"))
for event in (
    {{"type": "thread.started", "thread_id": "0199a213-81c0-7800-8aa1-bbab2a035a53"}},
    {{"type": "turn.started"}},
    {{"type": "item.completed", "item": {{"id": "item_1", "type": "agent_message",
      "text": "A fourth login of one user is refused."}}}},
    {{"type": "turn.completed", "usage": {{"input_tokens": 7000, "cached_input_tokens": 0,
      "output_tokens": 300}}}},
):
    print(json.dumps(event), flush=True)
"""


def pretend(folder: Path) -> Path:
    """Put both programs there; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("claude", CLAUDE), ("codex", CODEX)):
        program = folder / name
        program.write_text(text.format(python=sys.executable))
        program.chmod(0o755)
    return folder
