"""A program that sends messages to an agent, acknowledges some, and says of each that it did, until
it is killed: `python killed_mail.py STORE ROUND`."""

import sys

from tests.api.mailing_agents import Talker
from visionflow import AgentOrchestrator


def main(store: str, number: int) -> None:
    """Goes on for ever."""
    with AgentOrchestrator(store, topology="mesh") as fleet:
        names = [agent.id for agent in fleet.agents()] or [fleet.spawn(Talker)[0].id]
        (reader,) = names
        print("reader", reader, flush=True)
        count = 0
        while True:
            receipt = fleet.send_message(reader, {"round": number, "n": count})
            print("sent", receipt.message_id, number, count, flush=True)
            count += 1
            if count % 3 == 0:
                first = fleet.inbox(reader, 1)
                taken = fleet.acknowledge(reader, *first)
                print("taken", *(each.message_id for each in first), *taken, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
