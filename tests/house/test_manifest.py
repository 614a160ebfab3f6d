"""The manifest of acceptance rows and the tests that prove them agree, both ways.

`disagreements` is the rule; the tests below hold it against planted faults and against the
whole suite as pytest collects it.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import house_rules as rules
import pytest

Manifest = Mapping[str, Mapping[str, Any]]
Claims = Mapping[str, list[str]]

KEYS = {"feature", "state", "tests"}
STATES = ("building", "later", "proved")
ROWS_OF_THE_LIST = frozenset(
    """wire-tcp wire-http wire-shape swarm-topology swarm-limit agent-spawn agent-lifecycle
    agent-templates task-run task-parallel task-match task-priority task-retry task-partial
    consensus mesh hierarchy pipeline bus detect recover circuit recycle scale durable
    concurrent telemetry report feed alerts trace ui budget governor workspace history auth
    gui-bridge cli distributed main-job python-api coding-agents rust-client memory config
    confine effects doctor logs deploy docs truth""".split()
)


def disagreements(manifest: Manifest, claims: Claims, *, release: bool) -> list[str]:
    """Return in words each way in which the manifest and the tests' own marks differ."""
    said: list[str] = []
    for row, entry in manifest.items():
        listed, state = entry.get("tests", []), entry.get("state")
        if not entry.keys() <= KEYS or state not in STATES or not entry.get("feature"):
            said.append(f"{row}: needs a feature and a state of {STATES}, and knows only {KEYS}")
        if state == "proved" and not listed:
            said.append(f"{row}: is called proved and lists no test")
        if state == "later" and listed:
            said.append(f"{row}: is called later and lists tests")
        if state == "building" and release:
            said.append(f"{row}: is still being built, so there can be no release")
        said += [f"{row}: {t} does not exist" for t in listed if t not in claims]
        said += [
            f"{row}: {t} does not carry its mark" for t in listed if row not in claims.get(t, [row])
        ]
    for test, rows in claims.items():
        for row in rows:
            if test not in manifest.get(row, {}).get("tests", []):
                said.append(f"{row}: {test} claims it and is not listed")
    return said


def entry(state: str, *tests: str) -> dict[str, Any]:
    return {"feature": "f", "state": state, "tests": list(tests)}


def test_a_manifest_that_agrees_passes() -> None:
    manifest = {"a": entry("proved", "t1", "t2"), "b": entry("later"), "c": entry("building")}
    assert disagreements(manifest, {"t1": ["a"], "t2": ["a"], "t3": []}, release=False) == []


@pytest.mark.parametrize(
    ("manifest", "claims", "said"),
    [
        ({"a": entry("proved")}, {}, "a: is called proved and lists no test"),
        ({"a": entry("proved", "t")}, {}, "a: t does not exist"),
        ({"a": entry("proved", "t")}, {"t": []}, "a: t does not carry its mark"),
        ({"a": entry("building")}, {"t": ["a"]}, "a: t claims it and is not listed"),
        ({}, {"t": ["typo"]}, "typo: t claims it and is not listed"),
        ({"a": entry("later", "t")}, {"t": ["a"]}, "a: is called later and lists tests"),
    ],
)
def test_each_disagreement_is_told(manifest: Manifest, claims: Claims, said: str) -> None:
    assert disagreements(manifest, claims, release=False) == [said]


def test_a_key_or_state_that_is_not_known_is_told() -> None:
    assert disagreements({"a": {**entry("later"), "test": 1}}, {}, release=False)
    assert disagreements({"a": entry("done")}, {}, release=False)


def test_a_row_still_being_built_stops_a_release() -> None:
    assert disagreements({"a": entry("building")}, {}, release=True) == [
        "a: is still being built, so there can be no release"
    ]


def test_the_manifest_has_every_row_of_the_list_and_no_other() -> None:
    assert the_manifest().keys() == ROWS_OF_THE_LIST


def test_the_manifest_and_the_suite_agree(tmp_path: Path) -> None:
    release = os.environ.get("VISIONFLOW_RELEASE") == "1"
    claims = the_claims(tmp_path / "claims")
    rules.expect_none(disagreements(the_manifest(), claims, release=release))


def the_manifest() -> Manifest:
    with (rules.ROOT / "tests" / "acceptance.toml").open("rb") as file:
        return tomllib.load(file)


def the_claims(target: Path) -> Claims:
    """Collect the whole suite in a process of its own and return what each test claims."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "tests"],
        cwd=rules.ROOT,
        env={**os.environ, "VISIONFLOW_CLAIMS": str(target)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    return json.loads(target.read_text(encoding="utf-8"))
