"""A peer of a mesh that takes on whichever role a task is for.

Who does what is decided by the peers' auction; this is what the winner does then: the work of the
role that knows the task's type, with its tools.
"""

from typing import Any

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.roles import analyst, architect, coder, researcher, reviewer, tester
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.task import Task

_HOMES = (researcher, architect, coder, reviewer, tester, analyst)
_ROLES: dict[str, type[BaseAgent]] = {
    "researcher": researcher.ResearcherAgent,
    "architect": architect.ArchitectAgent,
    "coder": coder.CoderAgent,
    "reviewer": reviewer.ReviewerAgent,
    "tester": tester.TesterAgent,
    "analyst": analyst.AnalystAgent,
}
_TYPES: dict[str, tuple[str, ...]] = {
    name: home.TASK_TYPES for name, home in zip(_ROLES, _HOMES, strict=True)
}
TASK_TYPES = tuple(dict.fromkeys(kind for kinds in _TYPES.values() for kind in kinds))
_OWN = ("consensus_protocol", "peer_discovery", "roles")
PROTOCOLS = ("gossip",)


class PeerAgent(BaseAgent):
    """Does tasks of every type that a role on real tools does, as that role would.

    Of its settings `roles` says which roles it takes on (all); `consensus_protocol` is `gossip`
    and `peer_discovery` true, for there is nothing else; every other one goes to the roles.
    """

    type = "peer_agent"
    capabilities = tuple(
        dict.fromkeys(word for role in _ROLES.values() for word in role.capabilities)
    )

    async def start(self) -> None:
        """See `BaseAgent.start`.

        Raises:
            PermanentFailure: a setting is not one that it can honour.
        """
        protocol = self.config.get("consensus_protocol", "gossip")
        if protocol not in PROTOCOLS or self.config.get("peer_discovery", True) is not True:
            raise PermanentFailure(
                f"A peer finds the others by itself and by gossip; its settings say "
                f"consensus_protocol {protocol!r:.40} and peer_discovery "
                f"{self.config.get('peer_discovery', True)!r:.40}.",
                hint="Leave both out.",
            )
        unknown = [name for name in self._roles() if name not in _ROLES]
        if unknown:
            raise PermanentFailure(
                f"A peer takes on no role {unknown[0]!r:.40}.",
                hint=f"There are {', '.join(_ROLES)}.",
            )
        self._inner: dict[str, BaseAgent] = {}

    async def process_task(self, task: Task) -> Any:
        """Do it as the first of its roles that knows tasks of this type."""
        name = next((each for each in self._roles() if task.type in _TYPES[each]), None)
        if name is None:
            known = tuple(kind for each in self._roles() for kind in _TYPES[each])
            raise unknown_type(self, task, tuple(dict.fromkeys(known)))
        inner = self._inner.get(name)
        if inner is None:
            settings = {key: value for key, value in self.config.items() if key not in _OWN}
            inner = _ROLES[name](self.id, self.name, name, settings, self.context)
            await inner.start()
            self._inner[name] = inner
        return await inner.process_task(task)

    async def stop(self) -> None:
        """See `BaseAgent.stop`."""
        for inner in getattr(self, "_inner", {}).values():
            await inner.stop()

    def _roles(self) -> list[str]:
        given = self.config.get("roles") or list(_ROLES)
        return [str(each) for each in given]
