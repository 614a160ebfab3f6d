"""The server's settings: what wins over what, where each value comes from, how faults are told."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from visionflow.domain.errors import ConfigError, UsageError
from visionflow.settings.origins import (
    SETTINGS,
    Resolved,
    check_keeping,
    check_ports,
    home_of,
    resolve,
)
from visionflow.settings.server import ServerSettings

ROOT = Path(__file__).parents[2]


def resolved(
    home: Path, file: str | None = None, flags: dict[str, object] | None = None, **variables: str
) -> Resolved:
    if file is not None:
        (home / "server.yaml").write_text(file)
    return resolve(flags or {}, {"VISIONFLOW_HOME": str(home), **variables})


@pytest.mark.acceptance("config")
def test_flags_win_over_the_environment_that_over_the_file_and_that_over_defaults(
    tmp_path: Path,
) -> None:
    file = "max_agents: 30\nport: 9700\nagent_timeout: 5m\n"
    found = resolved(
        tmp_path, file, {"port": 9900}, MAX_AGENTS="50", MCP_TCP_PORT="9800", AGENT_TIMEOUT=""
    )
    assert (found.settings.tcp_port, found.origins["port"]) == (9900, "flag --port")
    assert (found.settings.agents_max, found.origins["max_agents"]) == (
        50,
        "environment MAX_AGENTS",
    )
    line = f"{tmp_path}/server.yaml:3"
    assert (found.settings.agent_timeout_ms, found.origins["agent_timeout"]) == (300_000, line)
    assert (found.settings.web_port, found.origins["web_port"]) == (3000, "default")
    assert found.read
    assert found.file == f"{tmp_path}/server.yaml"


def test_every_variable_of_the_contract_is_heard(tmp_path: Path) -> None:
    found = resolved(
        tmp_path,
        MCP_TCP_PORT="1",
        MCP_ENABLE_TCP="false",
        MCP_LOG_LEVEL="WARN",
        VISIONFLOW_WEB_PORT="2",
        MAX_AGENTS="3",
        AGENT_TIMEOUT="4",
        VISIONFLOW_ALLOW_UNAUTHENTICATED="1",
    ).settings
    assert (found.tcp_port, found.enable_tcp, found.log_level) == (1, False, "warning")
    assert (found.web_port, found.agents_max, found.agent_timeout_ms) == (2, 3, 4_000)
    assert found.allow_unauthenticated
    assert found.home == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (setting.environment, "no such thing\x07")
        for setting in SETTINGS
        if setting.environment is not None
    ],
)
def test_a_bad_value_in_the_environment_is_an_error_that_names_the_variable(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"environment variable {name} is .*, and takes "):
        resolve({}, {"VISIONFLOW_HOME": str(tmp_path), name: value})


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("port: 80000\n", r"server\.yaml:1: port is 80000, and takes a whole number from 0"),
        ("host: a\nmax_agent: 3\n", r"server\.yaml:2: 'max_agent' .* Did you mean 'max_agents'\?"),
        ("\n\nagent_timeout: soon\n", r"server\.yaml:3: agent_timeout is 'soon', and takes sec"),
        ("home: /tmp\n", r"server\.yaml:1: 'home' cannot be set in a file"),
        ("trust: perhaps\n", r"server\.yaml:1: trust is 'perhaps', and takes true or false"),
        ("frame_bytes_max: 12\n", r"server\.yaml:1: frame_bytes_max is 12, and takes a size"),
        ("workspaces: [nowhere]\n", r"server\.yaml:1: workspaces .* folders that are there"),
        ("- port\n", r"server\.yaml:1: The file is no map"),
        ("port: 1\nport: 2\n", r"server\.yaml:2: The key 'port' stands twice"),
    ],
)
def test_a_fault_in_the_file_is_told_with_its_line(tmp_path: Path, file: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        resolved(tmp_path, file)


def test_a_fault_in_the_file_is_told_although_a_flag_wins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="port is 'x'"):
        resolved(tmp_path, "port: x\n", {"port": 9500})


def test_a_flag_that_cannot_be_is_told_by_its_name() -> None:
    with pytest.raises(UsageError, match="--port is 99999, and takes a whole number"):
        resolve({"port": 99_999}, {})


def test_a_workspace_that_is_a_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as told:
        resolve({"workspaces": (str(tmp_path), str(tmp_path / "file"))}, {})
    assert "--workspace is " in told.value.message and "(" not in told.value.message
    assert told.value.message.endswith(f"{tmp_path}/file is no folder.")


@pytest.mark.parametrize(
    ("written", "ms"), [("0", 0), ("0s", 0), ("90", 90_000), ("1500ms", 1_500), ("1h", 3_600_000)]
)
def test_workers_wait_for_so_long_or_not_at_all(tmp_path: Path, written: str, ms: int) -> None:
    found = resolved(tmp_path, VISIONFLOW_ORPHAN_GRACE=written)
    assert found.settings.orphan_grace_ms == ms


def test_workers_that_wait_for_nobody_cannot_be_left_to_the_next_server() -> None:
    nobody = {"VISIONFLOW_ORPHAN_GRACE": "0"}
    with pytest.raises(UsageError, match=r"flag --keep-workers.*environment VISIONFLOW_ORPHAN"):
        check_keeping(resolve({"keep_workers": True}, nobody))
    check_keeping(resolve({"keep_workers": True}, {}))
    check_keeping(resolve({}, nobody))
    with pytest.raises(ConfigError, match="at most 1h"):
        resolve({}, {"VISIONFLOW_ORPHAN_GRACE": "2h"})


@pytest.mark.parametrize(
    ("flags", "environment", "kind", "told"),
    [
        ({"port": 7, "web_port": 7}, {}, UsageError, r"flag --port.* and .*flag --web-port"),
        ({"web_port": 9500}, {}, UsageError, r"port \(default\) and web_port \(flag --web-port\)"),
        ({}, {"MCP_TCP_PORT": "3000"}, ConfigError, r"environment MCP_TCP_PORT.* both 3000"),
    ],
)
def test_one_port_for_both_is_told_with_where_each_came_from(
    flags: dict[str, object], environment: dict[str, str], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        check_ports(resolve(flags, environment))
    check_ports(resolve({"port": 0, "web_port": 0}, {}))


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        resolve({}, {}, tmp_path / "none.yaml")


def test_paths_in_a_file_are_meant_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    found = resolved(tmp_path, "workspaces: [work]\nagents: agents.yaml\n").settings
    assert found.workspaces == (os.path.realpath(tmp_path / "work"),)
    assert found.agents_file == str(tmp_path / "agents.yaml")


def test_without_a_workspace_it_is_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved(tmp_path).settings.workspaces == (os.path.realpath(tmp_path),)


def test_the_home_is_a_folder_for_state_where_none_is_named() -> None:
    assert home_of({"VISIONFLOW_HOME": "/somewhere"}) == Path("/somewhere")
    if sys.platform == "linux":
        assert home_of({"XDG_STATE_HOME": "/state"}) == Path("/state/visionflow")


@pytest.mark.acceptance("config")
def test_each_setting_stands_in_the_table_once_and_is_used_outside_of_the_settings() -> None:
    fields = [field.name for field in msgspec.structs.fields(ServerSettings)]
    assert sorted(setting.field for setting in SETTINGS) == sorted(fields)
    used: set[str] = set()
    for path in (ROOT / "src/visionflow").rglob("*.py"):
        if path.parent.name != "settings":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and ast.unparse(node.value).split(".")[-1].endswith("settings")
            }
    assert [name for name in fields if name not in used] == []


def test_the_page_on_the_server_has_every_setting_as_it_is() -> None:
    page = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    rows = {
        cells[0].strip("`"): cells[1:]
        for line in page.splitlines()
        if line.startswith("| `")
        and len(cells := [cell.strip() for cell in line.strip("| ").split(" | ")]) == 5
    }
    defaults = Resolved(ServerSettings(), {}, "", False)
    assert list(rows) == [setting.key for setting in SETTINGS]
    for setting in SETTINGS:
        flag, variable, default, about = rows[setting.key]
        assert flag.strip("`") == (setting.flag or "")
        assert variable.strip("`") == (setting.environment or "")
        assert about == setting.about
        shown = defaults.shown(setting)
        if shown not in (None, "", []):
            assert default.strip("`") == (
                str(shown).lower() if isinstance(shown, bool) else str(shown)
            )


def test_config_prints_every_setting_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("log_level: debug\n")
    ended = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "config", "--json", "--max-agents", "7"],
        env={**os.environ, "VISIONFLOW_HOME": str(tmp_path), "MCP_TCP_PORT": "9600"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told = json.loads(ended.stdout)
    assert told["fileRead"] is True
    origins = {key: (one["value"], one["origin"]) for key, one in told["settings"].items()}
    assert origins["max_agents"] == (7, "flag --max-agents")
    assert origins["port"] == (9600, "environment MCP_TCP_PORT")
    assert origins["log_level"] == ("debug", f"{tmp_path}/server.yaml:1")
    assert origins["web_port"] == (3000, "default")
