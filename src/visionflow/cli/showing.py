"""A tool's result for a person: its fields, and its lists as tables. JSON for everything else."""

import sys
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from visionflow.cli.terminal import colours, is_terminal, plain

CELL_CHARS_MAX = 60
COLUMNS_MAX = 8


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
            console.print(_table(key, cast("list[Mapping[str, Any]]", value)))
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


def _table(title: str, rows: list[Mapping[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [name for name in names if any(row.get(name) not in (None, [], {}) for row in rows)]
    table = Table(title=f"{title} ({len(rows)})", title_justify="left", box=box.SIMPLE_HEAD)
    for name in shown[:COLUMNS_MAX]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(plain(_cell(row.get(name))) for name in shown[:COLUMNS_MAX]))
    return table


def _cell(value: object) -> str:
    text = _full(value)
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 1] + "…"


def _full(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(each, str) for each in items):
            return ", ".join(cast("list[str]", items))
    return msgspec.json.encode(value).decode("utf-8", "replace")
