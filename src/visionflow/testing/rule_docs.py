"""The rule table as it stands in docs/rules.md, made from `agents.rules`.

`python -m visionflow.testing.rule_docs docs/rules.md` writes it between its marks in that page; a
test holds the page against it.
"""

import sys
from pathlib import Path

from visionflow.agents.rules import TOOLS, rows_of

DOCS_START = "<!-- rules: made from the table -->"
DOCS_END = "<!-- end of rules -->"


def rule_table() -> str:
    """One Markdown table for each tool."""
    parts: list[str] = []
    for tool in TOOLS:
        parts += [f"### {tool}", "", "| rule | focus | severity | weakness | it is | mended |"]
        parts.append("|---|---|---|---|---|---|")
        for pattern, focus, severity, cwe, title, fixable in rows_of(tool):
            weakness = f"CWE-{cwe}" if cwe else ""
            mended = "yes" if fixable else ""
            parts.append(
                f"| `{pattern}` | {focus} | {severity} | {weakness} | {title} | {mended} |"
            )
        parts.append("")
    return "\n".join(parts)


def filled(page: str) -> str:
    """The page with the tables between its marks made anew."""
    before, start, rest = page.partition(DOCS_START)
    _, end, after = rest.partition(DOCS_END)
    if not start or not end:
        raise ValueError(f"The page has no {DOCS_START} and {DOCS_END}.")
    return f"{before}{start}\n\n{rule_table()}\n{end}{after}"


def main() -> int:
    """Fill the page that the arguments name."""
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
