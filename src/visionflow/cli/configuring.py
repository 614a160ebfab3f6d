"""`visionflow config`: every setting of the server, its value, and where that comes from."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from visionflow.cli.serving import NO_PORTS, NO_WORDS, Ports, Words

if TYPE_CHECKING:
    from visionflow.settings.origins import Resolved

CONFIG_EXAMPLES = """\
Examples:
  visionflow config
  MAX_AGENTS=50 visionflow config --json | jq -r '.settings.max_agents.origin'
  visionflow config --config ./server.yaml --port 9600
"""


def config(
    *,
    ports: Ports = NO_PORTS,
    words: Words = NO_WORDS,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON object and nothing else.")
    ] = False,
) -> int:
    """Show the settings that `visionflow serve` would use with the same flags.

    Flags win over the environment, that over the file, that over the defaults.
    """
    from visionflow.settings.origins import check_ports, resolve

    resolved = resolve({**ports.given(), **words.given()}, os.environ, words.config)
    check_ports(resolved)
    if json:
        _print_json(resolved)
    else:
        _print_table(resolved)
    return 0


def _print_json(resolved: "Resolved") -> None:
    from visionflow.cli.result import print_json
    from visionflow.settings.origins import SETTINGS

    print_json(
        {
            "file": resolved.file,
            "fileRead": resolved.read,
            "settings": {
                setting.key: {
                    "value": resolved.shown(setting),
                    "origin": resolved.origins[setting.key],
                    "flag": setting.flag,
                    "environment": setting.environment,
                    "about": setting.about,
                }
                for setting in SETTINGS
            },
        }
    )


def _print_table(resolved: "Resolved") -> None:
    from visionflow.cli.terminal import Paint, colours, plain
    from visionflow.settings.origins import SETTINGS

    paint = Paint(colours(sys.stdout))
    rows = [
        (setting.key, _text(resolved.shown(setting)), resolved.origins[setting.key])
        for setting in SETTINGS
    ]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, value, origin in rows:
        styled = paint("faint" if origin == "default" else "bold", plain(origin))
        print(f"{key:<{first}}  {plain(value):<{second}}  {styled}")
    read = "read" if resolved.read else "not there"
    print(plain(f"File: {resolved.file} ({read})"))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or "-"
    return "-" if value is None else str(value)
