"""A tool's result for a person: its fields, and its lists as tables. JSON for everything else."""

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from visionflow.cli.terminal import colours, is_terminal, plain

if TYPE_CHECKING:
    from rich.console import Console

CELL_CHARS_MAX = 60
COLUMN_CHARS_MIN = 12
"""So narrow a column may get whose words can be folded."""
COLUMNS_MAX = 8
BETWEEN = 3
"""What a column takes beside its words."""
_ID = re.compile(r"[a-z]+_[0-9]{10,}_[a-z0-9.]+")


def show(result: Mapping[str, Any], *, as_json: bool) -> None:
    """Print it: JSON when asked for or when standard output is no terminal, else for a person."""
    if as_json or not is_terminal(sys.stdout):
        encoded = msgspec.json.encode(result)
        text = msgspec.json.format(encoded, indent=2).decode("utf-8", "replace")
        sys.stdout.write(text + "\n")
        return
    _print_tables(result)


def _print_tables(result: Mapping[str, Any]) -> None:
    from rich.console import Console

    console = Console(no_color=not colours(sys.stdout), highlight=False, markup=False)
    width = max((len(key) for key in result), default=0)
    for key, value in result.items():
        if _is_rows(value):
            _print_table(console, key, cast("list[Mapping[str, Any]]", value))
        elif isinstance(value, Mapping):
            console.print(f"{key}:")
            for name, each in cast("Mapping[str, Any]", value).items():
                console.print(f"  {name}: {plain(_cell(each))}", soft_wrap=True)
        elif value not in ([], {}, ()):
            console.print(f"{key:<{width}}  {plain(_full(value))}", soft_wrap=True)


def _is_rows(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, Mapping) for each in cast("list[object]", value))


def _print_table(console: "Console", title: str, rows: list[Mapping[str, Any]]) -> None:
    """A table of the columns that there is room for; ids stay whole, so that they can be copied."""
    from rich import box
    from rich.table import Table

    names = list(dict.fromkeys(name for row in rows for name in row))
    told = [name for name in names if any(row.get(name) not in (None, [], {}) for row in rows)]
    cells: dict[str, list[str]] = {}
    for name in told:
        texts = [plain(_cell(row.get(name))) for row in rows]
        if not (_is_whole(texts) and texts in cells.values()):
            cells[name] = texts  # The name of what was given none is its id: once is enough.
    shown = _fitting(cells, console.width - 1)
    table = Table(title=f"{title} ({len(rows)})", title_justify="left", box=box.SIMPLE_HEAD)
    for name in shown:
        whole = _is_whole(cells[name])
        table.add_column(name, overflow="fold", no_wrap=whole, min_width=_least(name, cells[name]))
    for place in range(len(rows)):
        table.add_row(*(cells[name][place] for name in shown))
    console.print(table)
    left_out = [name for name in cells if name not in shown]
    if left_out:
        console.print(f"  Also there, with --json: {', '.join(left_out)}", soft_wrap=True)


def _fitting(cells: Mapping[str, list[str]], width: int) -> list[str]:
    """The columns that fit side by side, the first one always."""
    shown: list[str] = []
    for name, texts in cells.items():
        needed = _least(name, texts) + BETWEEN
        if len(shown) < COLUMNS_MAX and (needed <= width or not shown):
            shown.append(name)
            width -= needed
    return shown


def _least(name: str, texts: list[str]) -> int:
    longest = max(map(len, (name, *texts)))
    return longest if _is_whole(texts) else min(longest, COLUMN_CHARS_MIN)


def _is_whole(texts: list[str]) -> bool:
    return any(_ID.fullmatch(text) for text in texts)


def _cell(value: object) -> str:
    text = _full(value)
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…"


def _rounded(value: object) -> object:
    """The same with figures as a person reads them; all of their digits are in the JSON."""
    if isinstance(value, float):
        return round(value, 3) if abs(value) >= 1 else float(f"{value:.3g}")
    if isinstance(value, list):
        return [_rounded(each) for each in cast("list[object]", value)]
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in cast("Mapping[str, object]", value).items()}
    return value


def _full(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    whole: object = value
    if isinstance(value, list):
        whole = items = cast("list[object]", value)
        if all(isinstance(each, str) for each in items):
            return ", ".join(cast("list[str]", items))
    return msgspec.json.encode(_rounded(whole)).decode("utf-8", "replace")
