"""A program that takes up a folder again: says when it listens, and when it has answered."""

import sys

from visionflow import AgentOrchestrator, Task


def main(folder: str) -> None:
    """Open, print `listening`, have one command decided durably, print `answered`."""
    with AgentOrchestrator(folder) as fleet:
        print("listening", flush=True)
        fleet.cancel(fleet.submit(Task(input="are you there?")))
        print("answered", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
