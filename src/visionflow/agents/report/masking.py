"""Secrets kept out of every report, whichever tool or test happened to print them.

The tools hide what they take for a secret, and the run replaces the values that they found
(`tools.veiling`); this is the lock behind both. Two things are hidden: what
stands in the text of a line on which a secret was found, and what has the form of a well-known
credential wherever it stands. In its place comes a short hash, by which two can be compared.
"""

import hashlib
import re
from collections.abc import Iterable

from visionflow.agents.evidence import Issue
from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.report.gates import SECRETS_TOOL
from visionflow.agents.tools.hiding import hide
from visionflow.agents.tools.text import clean
from visionflow.agents.tools.veiling import MARK
from visionflow.domain.secrecy import SHAPES

SECRET_CWES = frozenset({256, 257, 259, 260, 312, 321, 522, 540, 547, 798})
"""Weaknesses that are about a credential in the source."""
_NAMED = re.compile(
    r"(?i)((?:passw(?:or)?d|passwd|pwd|secret|token|api_?key|auth_?key|private_?key|credentials?)"
    r"[\w'\"\]]{0,20}\s{0,3}[:=]\s{0,3}[bBrRuUfF]{0,2})(\"[^\"\n]{3,}\"|'[^'\n]{3,}')"
)
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|`[^`\n]*`")
_VALUE = re.compile(r"[=:]\s*|[\"'`]")
_SPOKEN = re.compile(
    r"(?i)((?:passw(?:or)?d|pwd|secret|token|api.?key)\w{0,20}\s{0,3}[:=]\s{0,3})([^\s\[]{4,})"
)
_CODE = (".py", ".pyi")
_PROSE = (".md", ".rst", ".txt", "git log")
_HIDDEN = "[hidden, sha256 "


class Veil:
    """What is to be hidden in the texts of one run."""

    def __init__(self, tools: Iterable[ToolRun]) -> None:
        self._places: set[tuple[str, int]] = set()
        for run in tools:
            for finding in (*run.findings, *(each.finding for each in run.suppressed)):
                if is_secret(finding):
                    last = max(finding.line, finding.end_line or finding.line)
                    lines = range(finding.line, min(last, finding.line + 200) + 1)
                    self._places |= {(finding.path, line) for line in lines}

    def text(self, text: str) -> str:
        """`text` without what has the form of a credential; cleaned text is expected."""
        shaped = SHAPES.sub(lambda found: hidden(found[0]), text)
        return _NAMED.sub(lambda found: f"{found[1]}'{hidden(found[2][1:-1])}'", shaped)

    def source(self, path: str, line: int, text: str) -> str:
        """The text of a line of a file, its values hidden where a secret was found on it."""
        if (path, line) in self._places:
            return withheld(text)
        if path.endswith(_CODE):
            return self.text(text)
        return _SPOKEN.sub(_said, self.text(text)) if _is_prose(path) else hide(self.text(text))

    def message(self, issue: Issue) -> str:
        """What is said of this issue; of one about a credential, without what it quotes."""
        told = clean(issue.message)
        return _unquoted(told) if self._own(issue) else self.text(told)

    def finding(self, finding: Finding) -> str:
        """The same of a single finding."""
        told = clean(finding.message)
        own = is_secret(finding) or (finding.path, finding.line) in self._places
        return _unquoted(told) if own else self.text(told)

    def snippet(self, issue: Issue) -> str:
        """The line that this issue is about."""
        told = clean(issue.snippet)
        return withheld(told) if self._own(issue) else self.text(told)

    def _own(self, issue: Issue) -> bool:
        by_tool = any(tool == SECRETS_TOOL for tool, _ in issue.rules)
        return by_tool or issue.cwe in SECRET_CWES or (issue.path, issue.line) in self._places


def _is_prose(path: str) -> bool:
    return path.endswith(_PROSE) or "." not in path


def _said(found: re.Match[str]) -> str:
    """In prose a word after `token:` may be a word; one with a digit in it is taken for a value."""
    value = found[2]
    return found[1] + (hidden(value) if any(each.isdigit() for each in value) else value)


def is_secret(finding: Finding) -> bool:
    """Whether the finding is about a credential."""
    return finding.tool == SECRETS_TOOL or finding.cwe in SECRET_CWES


def hidden(secret: str) -> str:
    """What stands where a secret stood."""
    if not secret or _HIDDEN in secret or MARK in secret or set(secret) <= set("*•.…xX '\""):
        return secret
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_HIDDEN}{digest[:10]}]"


def withheld(text: str) -> str:
    """A line of source as far as its first value; the rest is hidden as a whole."""
    found = _VALUE.search(text)
    if found is None:
        return hidden(text.strip())
    return f"{text[: found.start()]}{found[0]}{hidden(text[found.end() :].strip())}"


def _unquoted(text: str) -> str:
    shaped = SHAPES.sub(lambda found: hidden(found[0]), text)
    return _QUOTED.sub(lambda found: found[0][0] + hidden(found[0][1:-1]) + found[0][-1], shaped)
