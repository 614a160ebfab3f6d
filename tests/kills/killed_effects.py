"""A program whose agents do things to the world outside, and are killed with -9 right after that.

    killed_effects.py FOLDER URL VICTIM [KIND...]

One task for each kind of effect, one after the other. The first time that an effect has been
carried out, and before anybody was told, the VICTIM (worker or orchestrator) is killed. Started
again it goes on with its folder. It prints how each task stands once all have ended or are blocked.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from visionflow import AgentOrchestrator, BaseAgent, RetryPolicy, Task
from visionflow.agents.effects import (
    NOT_DONE,
    Done,
    HttpCall,
    OutsideEffect,
    UpdateRef,
    WriteFile,
)
from visionflow.interfaces.orchestrator import Fleet

KINDS = ("transactional", "idempotent", "file", "ref", "probeable", "in_doubt")
WAIT_S = 100.0
ENDS = ("completed", "blocked", "failed", "dead_letter")


def strike(folder: Path, name: str) -> None:
    """Kill the victim, the first time that this effect has been done."""
    try:
        os.close(os.open(folder / f"struck-{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    victim = (folder / "victim").read_text()
    os.kill(os.getpid() if victim == "worker" else os.getppid(), signal.SIGKILL)
    time.sleep(600)  # The orchestrator is gone: whoever takes over ends this process.


class Struck:
    """An effect, and the blow that follows it."""

    def __init__(self, inner: OutsideEffect, folder: Path, name: str) -> None:
        self.name, self.kind, self.about = inner.name, inner.kind, inner.about
        self._inner, self._folder, self._name = inner, folder, name

    def identity(self) -> tuple[Any, ...]:
        return self._inner.identity()

    async def carry_out(self, key: str) -> Any:
        value = self._inner.carry_out(key)
        value = await value if hasattr(value, "__await__") else value
        strike(self._folder, self._name)
        return value

    def probe(self, key: str) -> Any:
        return self._inner.probe(key)


def append(folder: str, line: str) -> int:
    """A line more in a file: a thing that, done twice, is done twice."""
    name = line.partition(":")[0]
    with open(Path(folder, f"{name}.txt"), "a") as file:
        file.write(f"{line}\n")
    strike(Path(folder), name)
    return 7


def was_appended(key: str, folder: str, line: str) -> Any:
    try:
        lines = Path(folder, f"{line.partition(':')[0]}.txt").read_text().splitlines()
    except FileNotFoundError:
        return NOT_DONE
    return Done(7) if line in lines else NOT_DONE


def pay(key: str, folder: str) -> int:
    """Money moves and its key is kept in one transaction."""
    with sqlite3.connect(Path(folder, "bank.db"), isolation_level=None) as bank:
        bank.execute("BEGIN IMMEDIATE")
        if not bank.execute("SELECT 1 FROM paid WHERE key = ?", (key,)).fetchall():
            bank.execute("INSERT INTO paid VALUES (?)", (key,))
            bank.execute("UPDATE account SET spent = spent + 5")
        bank.execute("COMMIT")
    bank.close()
    strike(Path(folder), "transactional")
    return 5


class Doer(BaseAgent):
    """One effect for each task, by its kind."""

    async def process_task(self, task: Task) -> Any:
        kind, folder = task.input["kind"], Path(task.input["folder"])
        begun = folder / f"attempts-{kind}"
        with begun.open("a") as file:
            file.write(f"{task.attempt}\n")
        value = await self._do(kind, folder, task.input["url"])
        return {"kind": kind, "value": value}

    async def _do(self, kind: str, folder: Path, url: str) -> Any:
        match kind:
            case "transactional":
                return await self.effect("pay", pay, str(folder), cls="transactional")
            case "idempotent":
                call = HttpCall("POST", f"{url}/orders", b"one coffee", timeout_s=30)
                return (await self.effect(Struck(call, folder, kind)))["status"]
            case "file":
                return await self.effect(Struck(WriteFile(folder / "out", "x"), folder, kind))
            case "ref":
                first, second = (folder / "commits").read_text().split()
                move = UpdateRef(folder / "repository", "refs/heads/main", second, first)
                return await self.effect(Struck(move, folder, kind))
            case "probeable":
                line = f"{kind}: it was sent"
                return await self.effect("note", append, str(folder), line, probe=was_appended)
            case _:
                line = f"{kind}: it was sent"
                return await self.effect("send", append, str(folder), line, about="send a letter")


def prepare(folder: Path, victim: str) -> None:
    """The world outside, as it is before."""
    folder.mkdir()
    (folder / "victim").write_text(victim)
    with sqlite3.connect(folder / "bank.db") as bank:
        bank.execute("CREATE TABLE paid (key TEXT PRIMARY KEY)")
        bank.execute("CREATE TABLE account (spent INTEGER)")
        bank.execute("INSERT INTO account VALUES (0)")
    bank.close()
    repository, who = folder / "repository", ("-c", "user.name=n", "-c", "user.email=e@e")

    def git(*words: str) -> str:
        ran = subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True)
        return ran.stdout.decode().strip()

    repository.mkdir()
    git("init", "-q", "--bare", ".")
    tree = git("mktree")
    first = git(*who, "commit-tree", tree, "-m", "one")
    second = git(*who, "commit-tree", tree, "-p", first, "-m", "two")
    git("update-ref", "refs/heads/main", first)
    hook = repository / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {folder}/hook-ran\n")
    hook.chmod(0o755)
    (folder / "commits").write_text(f"{first} {second}")


def submit(fleet: Fleet, kind: str, given: dict[str, str], apart: bool) -> None:
    """Ask for the task of a kind, unless that was done in an earlier life."""
    name = f"task_{kind}"
    if not any(row.id == name for row in fleet.queries.tasks()):
        task = Task(id=name, input=given, required_capabilities=[kind] if apart else [])
        fleet.submit(task, retry=RetryPolicy(attempts_max=1)).wait_accepted()


def outcome(fleet: Fleet, kind: str) -> dict[str, Any]:
    """How the task of a kind stands, once it has ended or is blocked."""
    name, until = f"task_{kind}", time.monotonic() + WAIT_S
    while (row := fleet.queries.task(name)).status not in ENDS:
        assert time.monotonic() < until, f"{name} is {row.status}: {row.reason}"
        time.sleep(0.02)
    told = {"status": row.status, "reason": row.reason, "attempt": row.attempt}
    if row.status == "completed":
        told["value"] = fleet.handle(name).result()["value"]
    return told


def main() -> None:
    """See the module."""
    folder, url, kinds = Path(sys.argv[1]), sys.argv[2], sys.argv[3:] or list(KINDS)
    # Each kind has a process of its own where workers die, so that none of them has to wait.
    apart = (folder / "victim").read_text() == "worker"
    told: dict[str, Any] = {}
    with AgentOrchestrator(folder / "store") as fleet:
        if not fleet.agents():
            for kind in kinds if apart else ("",):
                memory = 2**30 if apart else None
                fleet.spawn(Doer, capabilities=[kind] if kind else [], memory_bytes=memory)
        for kind in kinds:
            submit(fleet, kind, {"kind": kind, "folder": str(folder), "url": url}, apart)
            if not apart:
                told[kind] = outcome(fleet, kind)
        told = told or {kind: outcome(fleet, kind) for kind in kinds}
        effects = {
            row.task.removeprefix("task_"): [row.key, row.kind, row.status, row.request]
            for row in fleet.effects()
        }
    print(json.dumps({"tasks": told, "effects": effects}))


if __name__ == "__main__":
    main()
