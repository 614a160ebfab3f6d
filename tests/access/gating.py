"""A gate of one's own: what it records is kept, and who is at the other end is said by the test."""

from pathlib import Path
from typing import Any

from visionflow.interfaces.access.gate import Gate, Session
from visionflow.interfaces.access.lookups import Found, Lookups, Whose
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.access.tokens import Tokens
from visionflow.settings.server import ServerSettings

HERE = Peer(remote=("127.0.0.1", 40_000), local=("127.0.0.1", 9_500), inode=1)
ELSEWHERE = Peer(remote=("192.0.2.9", 40_000), local=("192.0.2.1", 9_500), inode=1)


class Records:
    """An audit that keeps what it is told."""

    def __init__(self) -> None:
        self.access: list[dict[str, str]] = []
        self.calls: list[dict[str, Any]] = []

    def offer_access(self, *, by: str, face: str, code: str, message: str = "") -> None:
        self.access.append({"by": by, "face": face, "code": code, "message": message})

    def offer_call(
        self, *, by: str, role: str, face: str, tool: str, code: str | None, message: str
    ) -> None:
        self.calls.append({"by": by, "role": role, "tool": tool, "code": code, "message": message})

    def codes(self) -> list[str]:
        """Of all that was recorded of access, in order."""
        return [each["code"] for each in self.access]


class Saying(Lookups):
    """Finds what it is told to find."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found
        self.looks = 0

    async def find(self, peer: Peer) -> Found:
        self.looks += 1
        return self.found


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


OURS = Found(Whose.OURS, 0, 1)
AGENTS = Found(Whose.AGENTS, 0, 1, "its process (1) belongs to an agent")
OTHERS = Found(Whose.OTHERS, 65_534, None, "its process is another user's (uid 65534)")
UNKNOWN = Found(Whose.UNKNOWN, why="it cannot be told")
UNSETTLED = Found(Whose.UNKNOWN, why="looking for its process took too long", settled=False)


class Rig:
    """A gate and its parts."""

    def __init__(self, folder: Path, found: Found = OURS, **settings: Any) -> None:
        self.records = Records()
        self.clock = Seconds()
        self.tokens = Tokens(folder)
        self.settings = ServerSettings(home=str(folder), **settings)
        self.saying = Saying(found)
        self.gate = Gate(self.settings, self.tokens, self.saying, self.records, self.clock)

    async def session(self, peer: Peer = HERE, face: str = "tcp") -> Session:
        """A connection that has arrived."""
        return await self.gate.connect(peer, face)
