"""What somebody made up in the place of a cursor is an error that says so, on every list."""

from pathlib import Path
from typing import Any

import pytest
from served import new_swarm, settings_in, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UsageError

LISTS: dict[str, dict[str, Any]] = {
    "task_list": {},
    "task_results": {"taskId": "task_1"},
    "memory_search": {},
    "events": {},
    "swarm_list": {},
}
MADE_UP = ("", "x", "²", "²-task", "²:ab", "1.²", "²²²²²²²²²²:", "-1", "9" * 5_000, "-", ".", ":")


def test_made_up_cursors_are_errors_of_whoever_made_them_up(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        await new_swarm(opened)
        tools = Tools(opened)
        for tool, given in LISTS.items():
            for cursor in (*MADE_UP, *(f"{'9' * 40}{mark}1" for mark in "-.:")):
                with pytest.raises(UsageError, match="cursor is"):
                    await tools(tool, {**given, "cursor": cursor})

    with_core(settings_in(tmp_path), use)


def test_a_seq_that_no_record_can_have_is_an_error(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        await new_swarm(opened)
        for since in (-1, 2**63, 2**64 - 1):
            with pytest.raises(UsageError, match="since is"):
                await Tools(opened)("events", {"since": since})

    with_core(settings_in(tmp_path), use)
