"""Two agents that double numbers, each task durable from the moment it is accepted."""

from visionflow import AgentOrchestrator, BaseAgent, Task


class Doubler(BaseAgent):
    capabilities = ("maths",)

    def process_task(self, task: Task) -> int:
        return 2 * task.input


if __name__ == "__main__":
    with AgentOrchestrator() as fleet:
        fleet.spawn(Doubler, count=2)
        print(fleet.map(Task(input=n, required_capabilities=["maths"]) for n in range(5)))
