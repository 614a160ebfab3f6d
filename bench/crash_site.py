"""A program to be killed: it queues tasks that nobody can take, says so, and waits."""

import sys
import time

from visionflow import AgentOrchestrator, Task

CHUNK = 5_000
STAY_S = 120


def main(folder: str, tasks: int) -> None:
    """Queue them durably, print `ready`, wait to be killed."""
    with AgentOrchestrator(folder) as fleet:
        for start in range(0, tasks, CHUNK):
            for number in range(start, min(tasks, start + CHUNK)):
                fleet.submit(Task(input=number))
            # Cancelling returns once it is durable, and with it all that came before.
            fleet.cancel(fleet.submit(Task(input="marker")))
        print("ready", flush=True)
        time.sleep(STAY_S)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
