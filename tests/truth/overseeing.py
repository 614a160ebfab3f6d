"""Things that happen to a swarm's supervision, in each world."""

import os
import signal

from tests.truth.scenario import Client, Params


def overseeing(client: Client, given: Params, swarm: str) -> None:
    """Looks, lines of level debug, health, restarts, a worker that is stopped, a reset."""
    ask, name, broken = client.ask, given.name, f"broken-{given.name}"
    ask("swarm_monitor", swarmId=swarm, interval=1_000 * given.count)
    ask("swarm_monitor", swarmId=f"adopted-{name}", metrics="latency")
    ask("swarm_monitor", swarmId=broken)
    ask("debug_enable", agentId=f"{name}-0", duration=f"{given.count}h")
    ask("agent_status", agentId=f"{name}-0")
    ask("agent_health", agentId=f"{name}-0")
    ask("debug_enable", swarmId=broken, duration=0)
    ask("debug_enable", swarmId=swarm)
    ask("agent_health", swarmId=swarm)
    ask("agent_health", swarmId=swarm, limit=given.count)
    ask("agent_health", agentId="held")
    ask("agent_health", swarmId=broken)
    restarting(client, given, broken)
    stopping(client, swarm, broken)
    tripping(client, given)
    degrading(client, given)
    resetting(client, given)


def restarting(client: Client, given: Params, broken: str) -> None:
    """One that shares a process, one with its own, one that cannot be built, one that is busy."""
    ask, world = client.ask, client.until(lambda world: True)
    client.facts["held"] = {
        name: len(agent.open)
        for each in world.swarms.values()
        for name, agent in each.agents.items()
    }
    ask("agent_restart", agentId=f"{given.name}-0", wait=True)
    ask("agent_restart", agentId="deaf", wait=True)
    (hopeless,) = (n for n, a in world.swarms[broken].agents.items() if a.spec.type == "broken")
    ask("agent_restart", agentId=hopeless, wait=True)
    ask("agent_restart", agentId="held", drain=True)


def stopping(client: Client, swarm: str, broken: str) -> None:
    """Somebody stops a worker."""
    ask = client.ask
    pid = ask("agent_status", agentId="deaf")["pid"]
    os.kill(pid, signal.SIGSTOP)
    ask("agent_health", agentId="deaf")
    ask("swarm_reconnect", swarmId=broken, waitTimeout=60)
    ask("swarm_reconnect", swarmId=swarm)


def tripping(client: Client, given: Params) -> None:
    """An agent fails until its circuit opens."""
    ask, swarm = client.ask, f"tripped-{given.name}"
    ask("agent_spawn", agentType="failer", swarmId=swarm, name="tripped", wait=True)
    failing = {"description": "fails", "agentType": "failer", "input": {"fails": 9}}
    for _ in range(5):
        once = {"retryPolicy": "none"}
        ask("task_orchestrate", task=failing, swarmId=swarm, execution=once, wait=True)
    ask("swarm_status", swarmId=swarm)
    ask("agent_status", agentId="tripped")
    ask("agent_health", agentId="tripped")


def degrading(client: Client, given: Params) -> None:
    """A swarm that bears no death has one, and is mended."""
    ask, overseen = client.ask, {"restarts": 0, "period": 60 * given.count}
    swarm = ask("swarm_init", supervision=overseen)["swarmId"]
    ask("swarm_monitor", swarmId=swarm)
    name = f"mortal-{given.name}"
    pid = ask("agent_spawn", agentType="teller", swarmId=swarm, name=name, wait=True)["pid"]
    os.kill(pid, signal.SIGSEGV)
    client.until(lambda world: world.agent(name)[1].status.now == "failed")
    for tool in ("swarm_status", "swarm_monitor", "agent_health"):
        ask(tool, swarmId=swarm)
    ask("swarm_reconnect", swarmId=swarm, waitTimeout=60)


def resetting(client: Client, given: Params) -> None:
    """A swarm with idle agents and tasks that nobody can do is reset, and once more."""
    ask, reset = client.ask, f"reset-{given.name}"
    ask("agents_spawn_parallel", swarmId=reset, agents=[{"type": "teller", "count": given.count}],
        wait=True)  # fmt: skip
    for number in range(given.count):
        task = {"description": "waits", "agentType": "lonely", "input": number}
        ask("task_orchestrate", task=task, swarmId=reset, formTeam=False)
    ask("swarm_reset", swarmId=reset, reason=given.reason)
    ask("swarm_reset", swarmId=reset)
