"""The agents of docs/messages.md, as the page has them: importable, as a worker needs them."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
exec(compile(SAMPLES[0], str(PAGE), "exec"), globals())
