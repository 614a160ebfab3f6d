"""report.html: the view as one self-contained page, made to be looked at.

Nothing is fetched and no script runs: the page's own policy forbids both. Jinja escapes every
value; where a chart needs a number, `pictures` computed it. Nothing here decides, counts or sorts.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from visionflow.agents.report.pictures import Pictures, pictures_of
from visionflow.agents.report.telling import named, percent, plural, seconds, share
from visionflow.agents.report.values import RunView
from visionflow.agents.report.view import TOP, notes_of

if TYPE_CHECKING:
    from jinja2 import Template

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)

_IN_HUNK = {"+": "added", "-": "removed", "@": "hunk"}


def report_html(view: RunView) -> str:
    """The page, ending in a newline."""
    pictures: Pictures = pictures_of(view)
    return _template().render(
        view=view, pictures=pictures, policy=POLICY, top=TOP, notes=notes_of(view)
    )


@cache
def _template() -> "Template":
    """The page's template, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("visionflow.agents.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "named": named, "percent": percent, "seconds": seconds, "share": share,
        "plural": plural, "whole": _whole, "capital": _capital,
        "parts_of_diff": _parts_of_diff,
    }  # fmt: skip
    environment.filters.update(filters)
    return environment.get_template("report.html")


def _capital(text: str) -> str:
    """A sentence's beginning; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def _parts_of_diff(diff: str) -> list[tuple[str, str]]:
    """A patch in pieces of lines of one kind: file, hunk, added, removed or plain."""
    pieces: list[tuple[str, list[str]]] = []
    body = False
    for line in diff.splitlines(keepends=True):
        body = line.startswith("@@") or (body and not line.startswith("diff --git "))
        kind = _IN_HUNK.get(line[:1], "plain") if body else "file"
        if pieces and pieces[-1][0] == kind:
            pieces[-1][1].append(line)
        else:
            pieces.append((kind, [line]))
    return [(kind, "".join(lines)) for kind, lines in pieces]


def _whole(number: int) -> str:
    """A count with its thousands set apart."""
    return f"{number:,}"
