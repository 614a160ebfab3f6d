"""A swarm whose topology is proposed and switched while it has something left to do."""

from pathlib import Path
from typing import Any

from tests.truth.scenario import Client, Params

ONCE = {"execution": {"retryPolicy": "none", "failureThreshold": 1.0}}


def shaping(client: Client, given: Params, folder: Path) -> None:
    """Looks before anything is known, once tasks are measured, and after each switch."""
    ask = client.ask
    swarm = ask("swarm_init", topology=("sequential", "star")[given.count - 2], name="shaped")[
        "swarmId"
    ]
    go = folder / "go-on"

    def order(kind: str, value: Any, **more: Any) -> str:
        task = {"description": kind, "agentType": kind, "type": f"s-{kind}", "input": value}
        said = {"task": task, "swarmId": swarm, "formTeam": False}
        return ask("task_orchestrate", **said, **more)["taskId"]

    ask("topology_optimize", swarmId=swarm)
    for number in range(given.count):
        ask("agent_spawn", agentType="teller", swarmId=swarm, name=f"t{number}", wait=True)
    ask("agent_spawn", agentType="failer", swarmId=swarm, name=f"fail-{given.name}", wait=True)
    ask("agent_spawn", agentType="holder", swarmId=swarm, name=f"hold-{given.name}", wait=True)
    ask("coordination_sync", swarmId=swarm)
    for number in range(given.count):
        ask("agent_message", agentId="t1", message=number, swarmId=swarm, **{"from": "t0"})
    for number in range(9 + given.count):
        order("teller", number, wait=True)
    for _ in range(given.count):
        client.reaches(order("failer", {"fails": 9}, **ONCE), "failed", "dead_letter")
    files = {"go": str(go), "share": given.share, "note": given.note}
    held = [order("holder", files) for _ in range(given.count)]
    client.reaches(held[0], "running")
    parts = [
        {"description": "p", "agentType": "holder", "type": "s-holder", "input": files}
    ] * given.count
    plan = {"description": "a plan", "subtasks": parts, "strategy": "sequential"}
    held.append(ask("task_orchestrate", task=plan, swarmId=swarm, formTeam=False)["taskId"])
    ask("topology_optimize", swarmId=swarm)
    for topology in ("mesh", "ring", "hierarchical")[: given.count]:
        ask("topology_optimize", swarmId=swarm, apply=True, topology=topology)
        order("teller", topology, wait=True)
        ask("topology_optimize", swarmId=swarm)
        ask("coordination_sync", swarmId=swarm)
    ask("swarm_status", swarmId=swarm)
    go.touch()
    for each in held:
        client.reaches(each, "completed")
    ask("topology_optimize", swarmId=swarm)
