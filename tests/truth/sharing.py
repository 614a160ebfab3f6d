"""Tasks that one agent was given ahead, and others that could do them."""

from pathlib import Path

from tests.truth.logged_world import World
from tests.truth.scenario import Client, Params


def sharing(client: Client, given: Params, folder: Path) -> None:
    """Looks at the load, and evens it, as one agent after the other comes."""
    ask, swarm = client.ask, f"shared-{given.name}"
    go = folder / "go-together"
    names = [f"{number}-bulk-{given.name}" for number in range(3)]
    task = {"description": "b", "agentType": "bulk", "type": "bulk", "input": {"go": str(go)}}
    ask("agent_spawn", agentType="bulk", swarmId=swarm, name=names[0], wait=True)
    tasks = [
        ask("task_orchestrate", task=task, swarmId=swarm, formTeam=False)["taskId"]
        for _ in range(5 + given.count)
    ]
    client.until(lambda world: settled(world, names[0], 5))
    ask("load_balance", swarmId=swarm)
    ask("agent_spawn", agentType="bulk", swarmId=swarm, name=names[1], wait=True)
    client.until(lambda world: settled(world, names[1], given.count))
    ask("load_balance", swarmId=swarm, wait=True)
    ask("load_balance", swarmId=swarm, strategy="capability", wait=True)
    ask("agent_spawn", agentType="bulk", swarmId=swarm, name=names[2], wait=True)
    client.until(lambda world: settled(world, names[2], 1))
    ask("load_balance", swarmId=swarm, strategy="even_distribution")
    go.touch()
    for each in tasks:
        client.reaches(each, "completed")


def settled(world: World, name: str, count: int) -> bool:
    """Whether an agent holds so many tasks and is at the first of them."""
    swarm, agent = world.agent(name)
    tasks = world.swarms[swarm].tasks
    return len(agent.open) == count and any(tasks[t].status.now == "running" for t in agent.open)
