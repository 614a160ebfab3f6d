"""What a run writes holds no value that one of its tools called a secret."""

import asyncio
import hashlib
import os
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

from jobs import carry_out, events_of, git, write

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.workspace import PrivateRepository
from visionflow.compose.job import JobProgress, RunFolder, create_run
from visionflow.compose.job.secrecy import Secrecy

HORSE = "corr3ct-h0rse-b4ttery"
TOKEN = "zQ8vK2pLx9TnWm4RbYd7"
GITHUB = "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789"
HIDDEN = "allowed-but-s3cret"
VALUES = (HORSE, TOKEN, GITHUB, HIDDEN, "s3cr3tPassw0rd")
LEAKY = {
    "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n",
    "app.py": (
        f'db_password = "{HORSE}"\n'
        f'DSN = "postgres://admin:s3cr3tPassw0rd@db.internal/app"\n'
        f'GH = "{GITHUB}"\n'
        f'api_secret = "{HIDDEN}"  # nosec # pragma: allowlist secret\n\n\n'
        f'def connect(token="{TOKEN}"):\n    return db_password + token\n\n\n'
        f"# TODO remove db_password {HORSE}\n"
    ),
    "test_app.py": (
        "import pytest\nfrom app import DSN, GH, api_secret, connect\n\n\n"
        "def test_it():\n    print(api_secret, GH)\n    assert connect() == DSN\n\n\n"
        f"@pytest.mark.parametrize('n', ['{HORSE}'])\ndef test_named(n):\n    assert not n\n"
    ),
    "README.md": f"password: {HORSE}\n",
}


def written(folder: RunFolder) -> dict[str, str]:
    """Every file of the run's but those of its state."""
    files = [each for each in folder.path.iterdir() if each.is_file()]
    return {each.name: each.read_text("utf-8", "replace") for each in files}


def told(progress: JobProgress) -> str:
    """All that is shown at one moment."""
    return " ".join((*progress.top, *(task.note for task in progress.tasks)))


def test_no_file_of_an_audit_holds_a_secret(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", LEAKY)
    git(workspace, "init", "--quiet")
    git(workspace, "add", ".")
    git(workspace, "commit", "--quiet", "-m", f"set password {HORSE} and {GITHUB}")
    folder = create_run("Audit this repository", workspace, tmp_path / "out", playbook="audit")
    shown: list[str] = []
    outcome = carry_out(folder, lambda progress, stop: shown.append(told(progress)))
    assert outcome.summary["gates"]["tests"] is False
    assert outcome.summary["gates"]["secrets"] is False
    files = written(folder)
    for name in ("report.md", "report.html", "summary.json", "findings.sarif", "events.jsonl"):
        assert name in files
    assert [n for n, text in files.items() for value in VALUES if value in text] == []
    assert [each for each in (*shown, str(outcome.summary)) if any(v in each for v in VALUES)] == []
    for name in ("report.md", "junit.xml", "events.jsonl"):
        assert "secret SHA-256" in files[name]
    assert ET.fromstring(files["junit.xml"]).tag == "testsuites"
    assert [each["seq"] for each in events_of(folder)] == sorted(
        each["seq"] for each in events_of(folder)
    )
    cache = folder.read_order().cache
    assert cache is not None
    kept = b"".join(each.read_bytes() for each in sorted(Path(cache).iterdir()))
    assert kept
    assert [value for value in VALUES if value.encode() in kept] == []


def test_an_answer_quotes_no_secret_though_no_review_looks_for_one(tmp_path: Path) -> None:
    workspace = write(tmp_path / "ws", LEAKY)
    git(workspace, "init", "--quiet")
    git(workspace, "add", ".")
    git(workspace, "commit", "--quiet", "-m", f"set password {HORSE} for {TOKEN}")
    goal = "Where is the password, and what does connect do?"
    folder = create_run(goal, workspace, tmp_path / "out", playbook="explain")
    outcome = carry_out(folder)
    assert outcome.summary["gates"] == {}
    assert outcome.summary["issues_total"] == 0
    files = written(folder)
    assert "secret SHA-256" in files["report.md"]
    assert [n for n, text in files.items() for value in VALUES if value in text] == []


def test_only_its_owner_looks_into_a_runs_state(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        folder = create_run("Test this", write(tmp_path / "ws", LEAKY), tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.state.stat().st_mode) == 0o700


def test_a_patch_stays_as_it_is_and_the_report_says_that_it_holds_a_secret(tmp_path: Path) -> None:
    folder = create_run("Test this", write(tmp_path / "ws", LEAKY), tmp_path / "out")
    asyncio.run(PrivateRepository.create(folder.state / "repository", tmp_path / "ws"))
    secrecy = Secrecy(folder)
    folder.patch.write_text(f" db_password = {HORSE}\n+x = 1\n")
    folder.junit.write_text(f"<a b='{HORSE}'>{HORSE}</a>")
    secrecy.clean_files()
    assert secrecy.notes() == ()
    assert HORSE in folder.junit.read_text()
    digest = hashlib.sha256(HORSE.encode()).hexdigest()[:8]
    told = f"Possible hardcoded password: (SHA-256 {digest}...)"
    secrecy.learn([ToolRun("bandit", "1", (Finding("bandit", "B105", "low", told, "app.py", 1),))])
    secrecy.clean_files()
    assert "changes.patch" in secrecy.notes()[0]
    assert HORSE in folder.patch.read_text()
    assert ET.fromstring(folder.junit.read_text()).text == f"[secret SHA-256 {digest}]"
