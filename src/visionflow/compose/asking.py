"""Asks a user's own recovery strategy about a failure: in a process of its own, within a time.

The process gets the failure as JSON on its standard input, and gives what the function gave as the
last line of its output. Whatever it does, the orchestrator goes on: when its time is up, it is
killed with all that it started in its group.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from visionflow.domain.errors import ConfigError
from visionflow.runtime.advising import Ask

ANSWER_S = 5.0
ANSWER_BYTES_MAX = 262_144
WORDS_CHARS_MAX = 300
MARK = "visionflow-strategy:"
"""What the line with the answer begins with."""


def asking(import_paths: Sequence[str], answer_s: float = ANSWER_S) -> Ask:
    """How strategies are asked, with modules looked for in these places too."""

    async def ask(call: str, failure: Mapping[str, Any]) -> object:
        return await asyncio.to_thread(_ask, call, failure, import_paths, answer_s)

    return ask


def _ask(
    call: str, failure: Mapping[str, Any], import_paths: Sequence[str], answer_s: float
) -> object:
    told = json.dumps({"call": call, "failure": failure, "paths": list(import_paths)}, default=str)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "visionflow.compose.asked"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(told.encode(), answer_s)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"it did not answer within {answer_s:g} s") from None
    finally:
        # What it started may hold the pipes open.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    lines = output[-ANSWER_BYTES_MAX:].decode("utf-8", "replace").splitlines()
    answers = [line for line in lines if line.startswith(MARK)]
    if process.returncode or not answers:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        why = words[-1][:WORDS_CHARS_MAX] if words else f"it ended with code {process.returncode}"
        raise ConfigError(f"it gave no answer: {why}")
    return json.loads(answers[-1][len(MARK) :])
