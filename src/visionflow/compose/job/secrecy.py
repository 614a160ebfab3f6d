"""What a run must not write: the values that its tools called secrets, read from its own snapshot.

They are held in memory only. The log and the blobs in `state` keep what was reported to them;
everything else that a run writes goes through here. How a value is found in a line and replaced
in a text is `agents.tools.veiling`.
"""

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from visionflow.agents.findings import Finding, ToolRun, portable_path
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.text import read_plain, write_whole
from visionflow.agents.tools.veiling import KnownSecrets, secret_findings, values_of
from visionflow.agents.workspace.changes import contents, entries
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.compose.job.folder import RunFolder
from visionflow.domain.errors import WorkspaceError

_FILES_AT_ONCE = 50
_BYTES_MAX = 512 * 1024 * 1024
"""Of a file that a tool wrote; one that is larger and holds a secret is not kept."""


class Secrecy:
    """What is known by now of one run; it only grows."""

    def __init__(self, folder: RunFolder) -> None:
        self.known = KnownSecrets()
        self._folder = folder
        self._asked: set[tuple[str | None, Finding]] = set()

    def learn(self, tools: Iterable[ToolRun]) -> None:
        """Take in the values of what these tools found. Where the snapshot cannot be read, those
        are not learned, and what the report masks by its form is all that is hidden."""
        self._learn(tools, None)

    def _learn(self, tools: Iterable[ToolRun], commit: str | None) -> None:
        """The same of a commit of the run's repository; `None`: its snapshot."""
        new = [each for each in secret_findings(tools) if (commit, each) not in self._asked]
        repository = PrivateRepository.opened(self._folder.state / "repository") if new else None
        if repository is None:
            return
        with suppress(WorkspaceError, OSError):
            values = asyncio.run(_values(repository, commit or repository.snapshot, new))
            self._asked.update((commit, each) for each in new)
            self.known = self.known.with_values(values)

    def covered(self, facts: RunFacts) -> RunFacts:
        """What may be told of the run: `facts` without the values, and with what stays open."""
        survey = () if facts.survey is None else facts.survey.secrets
        self.learn((*facts.tools, ToolRun("detect-secrets", None, survey)))
        for judged in () if facts.contest is None else facts.contest.judged:
            if judged.tip is not None and judged.gate is not None:
                self._learn((ToolRun("gate", None, judged.gate.new),), judged.tip)
        told = self.known.cover(facts)
        return msgspec.structs.replace(told, notes=(*told.notes, *self.notes()))

    def notes(self) -> tuple[str, ...]:
        """What could not be hidden: the lines of a patch must stay as they are."""
        patch = self._folder.patch
        content = read_plain(patch, _BYTES_MAX) if self.known else None
        if content is None or not self.known.held_by(content):
            return ()
        told = "changes.patch quotes a line that holds a secret: it must, or it could not be "
        return (f"{told}applied. Do not hand it on.",)

    def clean_files(self) -> None:
        """Replace the values in the files that the tests' tools wrote."""
        for path in (self._folder.junit, self._folder.coverage):
            content = read_plain(path, _BYTES_MAX + 1)
            if content is None:
                continue
            if len(content) > _BYTES_MAX:
                path.unlink(missing_ok=True)
                continue
            text = content.decode("utf-8", "surrogateescape")
            clean = self.known.text(text)
            if clean != text:
                write_whole(path, clean.encode("utf-8", "surrogateescape"))


async def _values(repository: PrivateRepository, commit: str, findings: list[Finding]) -> set[str]:
    listed = await entries(repository.path, commit)
    blobs = {portable_path(os.fsdecode(path)): entry.blob for path, entry in listed.items()}
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    wanted = sorted(by_path.keys() & blobs.keys())
    values: set[str] = set()
    for start in range(0, len(wanted), _FILES_AT_ONCE):
        some = wanted[start : start + _FILES_AT_ONCE]
        held = await contents(repository.path, (blobs[path] for path in some))
        for path in some:
            lines = held[blobs[path]].decode("utf-8", "replace").splitlines()
            for finding in by_path[path]:
                values |= values_of(finding, lines)
    return values
