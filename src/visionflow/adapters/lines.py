"""Log lines for people: `DATE TIME LEVEL agent_ID|- CODE message`, one line each."""

import datetime
from pathlib import Path
from typing import TextIO

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


class LineLog:
    """Appends lines to a file. Satisfies `Telemetry`."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8", errors="backslashreplace")

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        """See `Telemetry`. Control characters in the message are written out."""
        now = datetime.datetime.now().astimezone()
        text = message.translate(_CONTROL)
        stamp = now.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        self._file.write(f"{stamp} {level.upper()} {agent or '-'} {code} {text}\n")
        self._file.flush()

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()
