"""Things that agents do to the world outside: done, refused, in doubt, and said by a person."""

from typing import Any

from tests.truth.scenario import Client, Params

ONCE = {"execution": {"retryPolicy": "none", "failureThreshold": 1.0}}


def affecting(client: Client, given: Params) -> None:
    """Looks at effects as they come about, and resolves those in doubt."""
    ask, swarm = client.ask, f"outside-{given.name}"
    ask("agent_spawn", agentType="sender", swarmId=swarm, wait=True)

    def order(how: str, **more: Any) -> str:
        words = {"what": f"{how}-{given.name}", "how": how, "value": given.value, **more}
        # Of a type of its own: there is no record by which to say how long it will take.
        kind = f"{how}-{more.get('key', given.name)}"
        task = {"description": how, "agentType": "sender", "type": kind, "input": words}
        return ask("task_orchestrate", task=task, swarmId=swarm, formTeam=False, **ONCE)["taskId"]

    client.reaches(order("done", about=given.note), "completed")
    late = order("done", cls="idempotent", late=True, key=f"key-{given.name}")
    client.reaches(late, "completed")
    client.reaches(order("refused"), "failed", "dead_letter")
    doubts = [order("broken", key=f"{number}-{given.name}") for number in range(2)]
    for each in doubts:
        client.reaches(each, "blocked")
    ask("effects", swarmId=swarm)
    ask("effects", swarmId=swarm, limit=given.count)
    ask("effects", swarmId=swarm, status=["in_doubt"])
    ask("effects", swarmId=swarm, taskId=late)
    ask("effects", swarmId=swarm, key=f"key-{given.name}")
    ask("effect_resolve", key=f"0-{given.name}", resolution="done", note=given.note,
        result=given.value)  # fmt: skip
    client.reaches(doubts[0], "completed")
    ask("effect_resolve", key=f"1-{given.name}", resolution="abandoned", note=given.reason)
    client.reaches(doubts[1], "failed")
    ask("effects", swarmId=swarm, key=f"0-{given.name}")
    ask("effects", swarmId=swarm)
    ask("swarm_destroy", swarmId=swarm)
    ask("effects", swarmId=swarm)
