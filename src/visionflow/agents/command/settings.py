"""What the configuration of a coding agent may say: `default_config` in agents.yaml, and `config`
of one that is spawned."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from visionflow.agents.base import PermanentFailure
from visionflow.agents.roles.settings import RoleSettings
from visionflow.domain.sizes import MEMORY_FORMS, memory_bytes

_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class CommandSettings(RoleSettings, frozen=True, kw_only=True):
    """What `default_config` of a coding agent may say."""

    command: str | None = None
    profile: str | None = None
    network: bool | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None
    memory: Annotated[int, msgspec.Meta(gt=0)] | str | None = None
    env: tuple[Annotated[str, msgspec.Meta(pattern=_NAME)], ...] = ()
    read: tuple[str, ...] = ()

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "command": "The command line of the agent; `{goal}`, `{workspace}` and `{context}` in it "
        "are replaced, and a goal that it does not name is appended.",
        "profile": "The name of a profile, such as claude, whose usual command line is used; "
        "`command` or `profile` has to be there.",
        "network": "Whether it may reach other machines; as its profile says where it is left out.",
        "timeout": "Seconds for one go; the run's limit where it is left out.",
        "memory": "Of the agent with all its processes: bytes, or a size such as 2Gi; the smaller "
        "one of this and the run's limit holds.",
        "env": "Names of further variables of our environment that it gets; nothing else is "
        "passed but what its profile names. Their values are hidden in what is told of it.",
        "read": "Absolute paths of folders or files, `~` being your home, that it may read beside "
        "its own; never a whole home.",
    }

    @property
    def memory_bytes(self) -> int | None:
        """The ceiling in bytes.

        Raises:
            PermanentFailure: it is no size.
        """
        return size_of(self.memory)

    def given(self) -> str:
        """The command line or the name of a profile.

        Raises:
            PermanentFailure: neither is there, or both are.
        """
        if (self.command is None) == (self.profile is None):
            raise PermanentFailure(
                "A coding agent has either a command or a profile in its settings; this one has "
                f"{'neither' if self.command is None else 'both'}.",
                hint='Write command: "claude -p {goal}", or profile: claude.',
            )
        return self.command or self.profile or ""


def size_of(written: int | str | None) -> int | None:
    """Bytes of a size as people write it: 1024s with an i, 1000s without.

    Raises:
        PermanentFailure: it is no size.
    """
    if written is None:
        return None
    size = memory_bytes(written)
    if size is None:
        raise PermanentFailure(
            f"The memory {written!r:.40} of a coding agent is no size.", hint=MEMORY_FORMS
        )
    return size
