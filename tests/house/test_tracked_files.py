"""What git tracks names no machine and no place to download from, and the locks hold."""

import re
import tomllib

import house_rules as rules
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Written in pieces, or this file would break its own rule.
MACHINE = re.compile(r"(?<![\w.\-/])/(?:" + r"work|opt/pypi|opt/wheels|tmp/vf" + r")\b")
INDEX = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|--(?:extra-)?index" + r"-url|--find" + r"-links"
)
LOCKS = ("base", "bench", "demo", "dev")


def lock_text(name: str) -> str:
    return (rules.ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    """Return package to version of one lock."""
    found = re.findall(r"^([\w.\-]+)==([^\s;\\]+)", lock_text(name), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def test_no_tracked_file_names_a_machine_or_an_index() -> None:
    named: list[str] = []
    for path in rules.tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line) or INDEX.search(line):
                named.append(f"{path.relative_to(rules.ROOT)}:{number} {line.strip()[:80]}")
    rules.expect_none(named)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_carries_no_address_and_a_hash_for_every_package(name: str) -> None:
    text = lock_text(name)
    assert "://" not in text
    assert "@ " not in text
    entries = re.split(r"^(?=[\w.\-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(name)) > 0
    assert [e.split()[0] for e in entries if "--hash=sha256:" not in e] == []


def test_the_locks_agree_on_every_version() -> None:
    dev = pins("dev")
    differ = {
        (lock, package, version, dev[package])
        for lock in ("base", "bench")
        for package, version in pins(lock).items()
        if package in dev and dev[package] != version
    }
    assert not differ
    assert pins("base").keys() <= dev.keys()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    with (rules.ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    asked = {
        "base": project["project"]["dependencies"],
        "dev": project["dependency-groups"]["dev"],
        "bench": project["dependency-groups"]["bench"],
    }
    unmet: list[str] = []
    for lock, texts in asked.items():
        have = pins(lock)
        for requirement in map(Requirement, texts):
            version = have.get(canonicalize_name(requirement.name))
            if version is None or version not in requirement.specifier:
                unmet.append(f"{lock}: {requirement} and the lock has {version}")
    rules.expect_none(unmet)


def test_the_docs_name_each_dependency_of_the_base_install() -> None:
    text = (rules.ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w.\-]+)` \|", text, re.MULTILINE)
    assert sorted(map(canonicalize_name, named)) == sorted(pins("base"))
