"""Of a run nothing is told that one of its tools called a secret, on no way out of the server."""

import asyncio
import json
from pathlib import Path
from typing import Any

from desks import Desk, workspace_in
from served import settings_in, with_core

from visionflow.compose.serve.opening import OpenServer
from visionflow.interfaces.tools.observing import observing_tools

HORSE = "corr3ct-h0rse-b4ttery"
LEAKY = {
    "app.py": f'db_password = "{HORSE}"\n# TODO remove db_password {HORSE}\n',
    "README.md": f"password: {HORSE}\n",
}


def test_no_result_event_or_note_of_a_run_holds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    workspace_in(tmp_path, LEAKY)
    told: list[str] = []

    async def use(opened: OpenServer) -> str:
        desk = Desk(opened)
        for tool in observing_tools(opened.server, lambda: desk.registry):
            desk.registry.tools[tool.name] = tool

        async def ask(tool: str, **given: Any) -> None:
            told.append(json.dumps(await desk.call(tool, **given)))

        begun = await desk.call(
            "task_orchestrate", task="Explain where db_password is", swarmId="s1"
        )
        task = begun["taskId"]
        over = asyncio.ensure_future(desk.call("task_results", taskId=task, wait=True))
        while not over.done():
            await ask("task_results", taskId=task)
            await ask("task_results", taskId=task, part="examine")
            await ask("task_status", taskId=f"{task}.research")
            await ask("events", swarmId="s1", limit=1000)
        told.append(json.dumps(await over))
        return task

    async def after(opened: OpenServer) -> None:
        desk = Desk(opened)
        parts = ("examine", f"{task}.research", f"{task}.survey")
        told.extend(
            [json.dumps(await desk.call("task_results", taskId=task, part=each)) for each in parts]
        )
        told.append(json.dumps(await desk.call("task_results", taskId=f"{task}.research")))

    settings = settings_in(tmp_path)
    task = with_core(settings, use)
    with_core(settings, after)
    assert any("secret SHA-256" in text for text in told), told[-1]
    assert [text for text in told if HORSE in text] == []
    folder = tmp_path / "home" / "server" / "runs" / task.replace("task", "run", 1)
    for path in folder.iterdir():
        assert not path.is_file() or HORSE not in path.read_text()


def test_a_task_that_is_of_no_run_quotes_no_secret_of_its_workspace(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    workspace_in(
        tmp_path,
        LEAKY
        | {"test_app.py": "import app\n\n\ndef test_it():\n    assert app.db_password == 'x'\n"},
    )
    told: list[str] = []

    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        for tool in observing_tools(opened.server, lambda: desk.registry):
            desk.registry.tools[tool.name] = tool
        for kind in ("research", "run_tests"):
            task = {"description": "Where is db_password?", "type": kind}
            given = {"task": task, "swarmId": "s1", "wait": True}
            done = await desk.call("task_orchestrate", **given)
            assert done["status"] == "completed", done
            told.append(json.dumps(done))
            told.append(json.dumps(await desk.call("task_status", taskId=done["taskId"])))
        told.append(json.dumps(await desk.call("events", swarmId="s1", limit=1000)))

    with_core(settings_in(tmp_path), use)
    assert [text for text in told if HORSE in text] == []
    assert "secret SHA-256" in told[0] and "secret SHA-256" in told[2]
    log = (tmp_path / "home" / "server" / "log.db").read_bytes()
    assert HORSE.encode() not in log, "nobody who may read the store finds it there either"
