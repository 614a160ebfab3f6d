"""A swarm in which messages are sent, read, answered, refused, left out and not dealt with."""

from typing import Any

from tests.truth.scenario import Client, Params

LARGE = 60_000


def mailing(client: Client, given: Params) -> None:
    """By a client, in the name of agents, and by agents that write to each other."""
    ask, other = client.ask, given.count - 2
    swarm = ask("swarm_init", topology="star", name="post")["swarmId"]
    names = {}
    for kind, name in (("answerer", "centre"), ("teller", f"reader-{given.name}"), ("teller", "b")):
        names[name] = ask(
            "agent_spawn", agentType=kind, swarmId=swarm, name=name, wait=True
        )["agentId"]  # fmt: skip
    reader = f"reader-{given.name}"
    words: dict[str, Any] = {"type": f"n-{given.name}", "text": given.note}
    ask("daa_communication", **{"from": given.name}, to="all", message=words)
    ask("daa_communication", to=f"swarm:{swarm}", message={"n": given.count})
    ask("daa_communication", **{"from": reader}, to="all", message=words, swarmId=swarm)
    ask("agent_inbox", agentId=reader)
    told = ask("agent_inbox", agentId=reader, limit=1)
    first = told["messages"][0]["deliveryId"]
    second = ask("agent_inbox", agentId=reader)["messages"][1]["deliveryId"]
    gone = ([first], [second, first])[other]
    ask("agent_inbox", agentId=names[reader], acknowledge=[*gone, 999])
    said = ask("agent_message", agentId="centre", message={"ask": given.note}, timeout=60)
    assert said["answer"] is not None
    ask("agent_message", agentId="centre", message={"silent": True}, timeout=f"{200 + other}ms")
    # Its answerer writes to everybody whatever it gets of this type, with what it was told.
    for number in range(given.count):
        pass_on = {"type": "pass on", "to": names["b"], "value": given.value, "priority": number}
        ask("agent_message", agentId="centre", message=pass_on, **{"from": "b"})
    client.until(lambda world: len(waiting(world, swarm, names["b"])) >= 2 * given.count)
    ask("agent_inbox", agentId="b")
    ask("agent_message", agentId="centre", type="order", message={"fails": given.name})
    ask("agent_message", agentId=reader, message=given.value, ttl=f"{100 + other}ms")
    client.until(lambda world: events(world, swarm, "mail_dead") >= 2)
    ask("agent_inbox", agentId="centre", dead=True)
    ask("agent_inbox", agentId=reader, dead=True)
    filling(client, swarm, reader)
    ask("daa_communication", **{"from": given.name}, to="all", message={"x": "y" * LARGE},
        swarmId=swarm)  # fmt: skip
    ask("agent_message", agentId="b", message=1)
    ask("swarm_destroy", swarmId=swarm)


def filling(client: Client, swarm: str, name: str) -> None:
    """Until there is no room for one more of these."""
    arguments = {"agentId": name, "message": "z" * LARGE, "swarmId": swarm}
    while "error" not in client.request(
        "tools/call", {"name": "agent_message", "arguments": arguments}
    ):
        pass


def waiting(world: Any, swarm: str, agent: str) -> list[Any]:
    """What was sent to an agent."""
    return [
        event
        for _, _, _, event in world.swarms[swarm].events
        if type(event).__name__ == "MailSent" and agent in event.to
    ]


def events(world: Any, swarm: str, tag: str) -> int:
    """How many of a kind there were."""
    return sum(
        type(event).__struct_config__.tag == tag for _, _, _, event in world.swarms[swarm].events
    )
