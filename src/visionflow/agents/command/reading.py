"""Reading what an agent prints, as it comes: its figures, its session, what it does, whether its
provider refuses it. Each tool has a reader of its own; memory is bounded whatever comes."""

from typing import Protocol

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.profiles import Profile
from visionflow.agents.command.reading_aider import AiderReader
from visionflow.agents.command.reading_claude import ClaudeReader
from visionflow.agents.command.reading_codex import CodexReader
from visionflow.agents.command.reading_gemini import GeminiReader
from visionflow.agents.command.reading_lines import NOTHING_USED
from visionflow.agents.command.reading_script import ScriptReader
from visionflow.agents.command.refusals import Refusal

__all__ = ["Reader", "Refusal", "reader_of"]


class Reader(Protocol):
    """Reads the output of one go. Texts come from strangers: harmless for a terminal, but not
    free of secrets."""

    usage: Usage
    """Of this go, as far as it was told; `None` in it where it was not."""
    session: str | None
    """The tool's own name of the conversation, known as soon as it says it."""
    said: str
    """Its last words, cut."""
    note: str
    """What it does now, one line."""
    notes: int
    """How often it has said what it does: the same note again is the same call again."""
    refusal: Refusal | None
    """Set as soon as it is seen. One that is `throttled` goes away again when the tool, which
    tries again by itself, gets an answer."""

    def feed(self, stream: str, data: bytes) -> None:
        """Take what came on `stdout` or `stderr`, broken anywhere."""
        ...

    def close(self, exit_code: int | None) -> None:
        """There is no more. `exit_code`: `None` where it was ended from outside."""
        ...


_READERS = {
    "claude": ClaudeReader,
    "codex": CodexReader,
    "gemini": GeminiReader,
    "aider": AiderReader,
}


def reader_of(profile: Profile, before: Usage = NOTHING_USED) -> Reader:
    """A new reader for the output of one go. `before`: what earlier goes of the same conversation
    reported together, where this one goes on with it: some tools count the whole of it."""
    return _READERS.get(profile.name, ScriptReader)(before)
