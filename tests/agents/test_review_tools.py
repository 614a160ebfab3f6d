"""The five review tools over trees that nobody here wrote: what they find and what they leave."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from tool_projects import write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.evidence import FOCUSES, Focus, Part
from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.rules import TOOLS, Depth, rule_of
from visionflow.agents.tools import complexity, deadcode, secrets
from visionflow.agents.tools.project import look
from visionflow.agents.tools.review import (
    ReviewRequest,
    merge_runs,
    review,
    run_tool,
    tools_for,
)
from visionflow.agents.tools.sarif import sarif
from visionflow.ports.sandbox import Command, Completed, Sandbox

AWS = "AKIA" + "Q3ZK7YHTW2LM5RPX"
PASSWORD = "hunter2-x9"
_STEEP = "def steep(a, b):\n" + "".join(
    f"{'    ' * (n + 1)}if a > {n} and b:\n" for n in range(5)
) + "    " * 6 + "return a\n"  # fmt: skip


def request_for(
    root: Path,
    out: Path,
    *,
    cache: Path | None = None,
    focus: Focus | None = None,
    part: Part | None = None,
    depth: Depth = "standard",
) -> ReviewRequest:
    return ReviewRequest(
        str(root), look(str(root)), part, focus, str(out / "scratch"),
        cache=str(cache) if cache else None, depth=depth,
    )  # fmt: skip


def one(root: Path, out: Path, tool: str, sandbox: Sandbox | None = None, **how: object) -> ToolRun:
    request = msgspec.structs.replace(request_for(root, out), **how)
    return asyncio.run(run_tool(sandbox or UnconfinedSandbox(), tool, request))


def told(findings: Iterable[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.rule, finding.path, finding.line) for finding in findings]


def test_each_focus_has_its_tools_and_together_they_are_all() -> None:
    assert tools_for(None) == TOOLS
    assert {name for focus in FOCUSES for name in tools_for(focus)} == set(TOOLS)
    assert tools_for("performance") == ("ruff",)
    assert tools_for("maintainability", "quick") == ("ruff",)


def test_functions_that_are_hard_to_follow_are_measured(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": _STEEP, "b.py": "def flat(a):\n    return a\n", "bad.py": "def f(:\n",
        "hidden.py": "# complexipy: ignore\n" + _STEEP,
    })  # fmt: skip
    run = one(root, tmp_path, "complexipy")
    assert told(run.findings) == [("cognitive-complexity", "a.py", 1)]
    assert "complexity of 20" in run.findings[0].message
    assert [each.finding.path for each in run.suppressed] == ["hidden.py"]
    assert [path for path, _ in run.not_read] == ["bad.py"]
    assert (run.ended, run.files_read) == ("completed", 3)


@pytest.mark.parametrize(
    ("value", "severity"), [(11, "info"), (15, "info"), (16, "low"), (30, "low"), (31, "medium")]
)
def test_complexity_weighs_more_the_higher_it_is(value: int, severity: str) -> None:
    assert complexity.severity_of(value) == severity


_LIVING: dict[str, str | bytes] = {
    "pyproject.toml": '[project]\nname = "thing"\n[project.scripts]\nrun = "app.work:by_entry"\n',
    "app/__init__.py": "from .work import re_exported\n\n\ndef offered():\n    pass\n",
    "app/work.py": (
        "__all__ = ['listed']\n__all__ += ['added']\n\n"
        "def re_exported(): pass\ndef listed(): pass\ndef added(): pass\ndef by_entry(): pass\n"
        "def by_test(): pass\ndef in_text(): pass\ndef documented(): pass\ndef _private(): pass\n"
        "def visit_one(x): getattr(x, f'visit_{x}')\n\n"
        "@decorator\ndef decorated(): pass\n\n"
        "class Base(Other):\n    def overriding(self): pass\n\n\n"
        "class Plugin(Other):\n    pass\n\n\n"
        "def generator():\n    return\n    yield\n\n\n"
        "def with_suppress():\n    with suppress(E):\n        return 1\n    return 2\n\n\n"
        "generator(), with_suppress(), _private()\nREGISTRY = 'app.work:in_text'\n"
    ),
    "tests/test_work.py": "from app.work import by_test\ndef test_it(): by_test()\ndef lost(): 1\n",
    "docs/conf.py": "def setup(app): pass\n", "setup.py": "def made_up(): pass\n",
    "README.md": "Call `documented()` first.\n", "thing.py": "def of_single_module(): pass\n",
    "app/typed.pyi": "def stubbed() -> None: ...\n",
}  # fmt: skip


def test_what_anything_may_reach_is_not_dead(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", _LIVING)
    run = one(root, tmp_path, "vulture", depth="thorough")
    assert told(run.findings) == []
    assert (run.ended, run.not_read) == ("completed", ())


def test_what_nothing_reaches_is_dead(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "app/__init__.py": "",
        "app/work.py": (
            "import os\n\n\ndef lost(x): return x\n\n\nclass Lost:\n    pass\n\n\n"
            "class Used:\n    def lost_method(self): pass\n    @property\n"
            "    def lost_one(self): 1\n\n\nUsed()\n\n\ndef kept():  # noqa: V103\n    pass\n\n\n"
            "def early():\n    return 1\n    print('never')\n\n\nearly()\n"
        ),
        "latin.py": b"# -*- coding: latin-1 -*-\ndef gone_\xe9(): pass\n", "bad.py": "def f(:\n",
    })  # fmt: skip
    run = one(root, tmp_path, "vulture", depth="thorough")
    assert told(run.findings) == [
        ("unused-function", "app/work.py", 4), ("unused-class", "app/work.py", 7),
        ("unused-method", "app/work.py", 12), ("unused-property", "app/work.py", 14),
        ("unreachable-code", "app/work.py", 26), ("unused-function", "latin.py", 2),
    ]  # fmt: skip
    assert [(each.by, each.where) for each in run.suppressed] == [("comment", "# noqa: V103")]
    assert [path for path, _ in run.not_read] == ["bad.py"]


def test_deep_and_hostile_files_cost_only_themselves(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "deep.py": "x = " + "[" * 5_000 + "]" * 5_000 + "\n", "nul.py": b"x = 1\0\n",
        "sum.py": "x = " + "1 + " * 20_000 + "1\n", "good.py": "def lost(): pass\n",
    })  # fmt: skip
    for tool in ("vulture", "complexipy", "bandit", "ruff"):
        run = one(root, tmp_path, tool)
        assert run.ended == "completed", (tool, run.reason)
        assert run.files_read >= 1
        assert "good.py" not in {path for path, _ in run.not_read}
    dead = one(root, tmp_path, "vulture", depth="thorough")
    assert told(dead.findings) == [("unused-function", "good.py", 1)]


_SECRETS: dict[str, str | bytes] = {
    "a.py": f'password = "{PASSWORD}"\nKEY = "{AWS}"\nunused = 1\n',
    "conf/settings.yaml": "db_password: Tr0ub4dor&3\npath: /a/b\n",
    "deploy.env": "SECRET_TOKEN=aB3dE5fG7hI9\n",
    "README.md": "curl https://me:Zx81-qq@db.acme.io/\n",
    "docs.md": (
        "https://me:Zx81-qq@example.org/ and https://me:p@ss@a.test:80 or //u:x%2d@%2d.org\n"
    ),
    "key.pem": "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow" * 10 + "\n",
    "allowed.py": f'password = "{PASSWORD}"  # pragma: allowlist secret\n',
    "harmless.py": (
        'password = "changeme"\ntoken = get_token("x")\nsecret = "{secret}"\nKEY = "password"\n'
        'api_key = "<your-api-key>"\nPASSWORD_FIELD = "new_password"\nX = "-----BEGIN RSA PRIVATE '
        'KEY-----"\nsid = "AC' + "x" * 32 + '"\n'
    ),
    "blob.dat": b'\0\1password = "' + PASSWORD.encode() + b'"\n', "latin.txt": b"caf\xe9\n",
}  # fmt: skip


def test_secrets_are_told_by_kind_and_place_and_never_shown(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", _SECRETS)
    cache = tmp_path / "cache"
    runs = [one(root, tmp_path, tool, cache=str(cache), depth="thorough") for tool in TOOLS]
    run = next(each for each in runs if each.tool == "detect-secrets")
    assert told(run.findings) == [
        ("BasicAuthDetector", "README.md", 1), ("KeywordDetector", "a.py", 1),
        ("AWSKeyDetector", "a.py", 2), ("KeywordDetector", "conf/settings.yaml", 1),
        ("KeywordDetector", "deploy.env", 1), ("PrivateKeyDetector", "key.pem", 1),
    ]  # fmt: skip
    assert [each.finding.path for each in run.suppressed] == ["allowed.py"]
    assert [path for path, _ in run.not_read] == ["latin.txt"]
    same = {each.message for each in run.findings if each.path == "a.py"}
    assert run.suppressed[0].finding.message in same
    left = [json.dumps(msgspec.to_builtins(runs)).encode(), sarif(runs)]
    kept = [path for folder in (cache, tmp_path / "scratch") for path in folder.rglob("*")]
    left += [path.read_bytes() for path in kept if path.is_file()]
    for secret in (PASSWORD, AWS, "Tr0ub4dor", "aB3dE5fG7hI9", "Zx81-qq", "MIIEowMIIEow"):
        assert not any(secret.encode() in each for each in left), secret


def test_a_tool_with_another_finding_on_that_line_does_not_show_the_secret(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": f'def f():\n    access = {{"{AWS}"}}; x = 1\n'
    })  # fmt: skip
    runs = merge_runs(one(root, tmp_path, tool) for tool in ("ruff", "detect-secrets"))
    assert {finding.path for run in runs for finding in run.findings} == {"a.py"}
    assert len(runs[1].findings) == 2
    assert {finding.snippet for run in runs for finding in run.findings} == {
        'access = {"****"}; x = 1'
    }


def test_the_second_review_starts_nothing_and_says_the_same(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {**_SECRETS, **_LIVING, "b.py": _STEEP, "c.py": "import os\n"})
    cache = tmp_path / "cache"
    first, second = UnconfinedSandbox(), UnconfinedSandbox()
    fresh = asyncio.run(review(first, request_for(root, tmp_path, cache=cache)))
    again = asyncio.run(review(second, request_for(root, tmp_path, cache=cache)))
    assert [run.tool for run in fresh] == list(TOOLS)
    assert len(first.commands) == len(TOOLS)
    assert second.commands == []
    assert all(run.cached == run.files_read for run in again)
    bare = [
        [msgspec.structs.replace(run, cached=0, enforced=()) for run in runs]
        for runs in (fresh, again)
    ]
    assert bare[0] == bare[1]
    assert sarif(fresh) == sarif(again)


def test_a_changed_file_is_read_anew_and_the_others_are_not(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {f"m{n}.py": f"x = {n}\n" for n in range(5)})
    cache = tmp_path / "cache"
    asyncio.run(review(UnconfinedSandbox(), request_for(root, tmp_path, cache=cache)))
    write(root, {"m3.py": "import os\n"})
    sandbox = UnconfinedSandbox()
    runs = asyncio.run(review(sandbox, request_for(root, tmp_path, cache=cache)))
    assert [run.cached for run in runs] == [4, 4, 4, 4, 4]
    assert all(
        [word for word in command.argv if word.startswith("./")] == ["./m3.py"]
        for command in sandbox.commands
    )
    ruff = next(run for run in runs if run.tool == "ruff")
    assert told(ruff.findings) == [("F401", "m3.py", 1)]


def test_files_that_cannot_be_read_are_remembered_too(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {"bad.py": "def f(:\n", "good.py": "x = 1\n"})
    cache = str(tmp_path / "cache")
    first = one(root, tmp_path, "bandit", cache=cache)
    sandbox = UnconfinedSandbox()
    second = one(root, tmp_path, "bandit", sandbox, cache=cache)
    assert first.not_read == second.not_read != ()
    assert sandbox.commands == []


def test_a_focus_gets_its_own_rules_and_the_parts_together_are_the_whole(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "one/a.py": f'import os\nKEY = "{AWS}"\neval(KEY)\n' + _STEEP,
        "two/b.py": "def f(x):\n    y = []\n    for a in x:\n        if a:\n"
                    "            y.append(a)\n",
        "c.py": "def lost(): pass\n",
    })  # fmt: skip
    cache = tmp_path / "cache"

    def reviewed(focus: Focus | None, part: Part | None) -> tuple[ToolRun, ...]:
        request = request_for(root, tmp_path, cache=cache, focus=focus, part=part)
        return asyncio.run(review(UnconfinedSandbox(), request))

    whole = reviewed(None, None)
    for focus in FOCUSES:
        for run in reviewed(focus, None):
            assert all(rule_of(run.tool, f.rule).focus == focus for f in run.findings)
    parts = (Part("one", ("one",)), Part("two", ("two",)), Part("rest", (), ("one", "two")))
    runs = [run for focus in FOCUSES for part in parts for run in reviewed(focus, part)]
    merged = merge_runs(runs)
    assert [(r.tool, r.findings, r.suppressed, r.files_read) for r in merged] == [
        (r.tool, r.findings, r.suppressed, r.files_read) for r in whole
    ]


def test_the_depth_says_what_is_told_and_not_what_it_weighs(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": "import os\n\n\ndef f(a=[]):\n    try:\n        g()\n    except E:\n"
                "        raise ValueError('x')\n"
    })  # fmt: skip
    depths: tuple[Depth, ...] = ("quick", "standard", "thorough")
    found = [one(root, tmp_path, "ruff", depth=depth).findings for depth in depths]
    assert [{f.rule for f in each} for each in found] == [
        {"B006", "F821"}, {"B006", "F821", "F401"}, {"B006", "F821", "F401", "B904"},
    ]  # fmt: skip
    assert set(found[0]) < set(found[1]) < set(found[2])


def test_a_tool_that_did_not_do_all_of_its_parts_has_failed() -> None:
    done, lost = (
        ToolRun("ruff", "1", part="a"),
        ToolRun("ruff", None, ended="not_run", reason="why"),
    )
    assert merge_runs([done, lost])[0].ended == "failed"
    assert merge_runs([lost, lost])[0].ended == "not_run"
    assert merge_runs([lost, done])[0].reason == "why"
    assert merge_runs([]) == ()


def test_without_confinement_nothing_is_read_and_that_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {"a.py": "import os\n"})
    runs = asyncio.run(review(RefusingSandbox(), request_for(root, tmp_path)))
    assert {run.ended for run in runs} == {"not_run"}
    assert all(run.findings == () and run.files_read == 0 for run in runs)


@pytest.mark.parametrize("module", [complexity, deadcode, secrets])
def test_an_answer_that_is_none_is_refused(module: object) -> None:
    parse = getattr(module, "parse")  # noqa: B009
    for content in (b"", b"[1]", b'{"a": 1}', b'{"a": [[1]]}', b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse(content, "/w")


class _DiesOn(UnconfinedSandbox):
    """Ends any command that is given a certain file, as a parser's crash would."""

    async def run(self, command: Command, on_output: object = None) -> Completed:
        self.commands.append(command)
        if "./bad.py" in command.argv:
            return Completed(None, "signal:SIGSEGV", "", "", 1, None, self.confinement)
        return await super().run(command)


def test_what_killed_a_tool_is_tried_again_and_the_rest_is_not(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"m{n}.py": f"import m{n}\n" for n in range(6)}
    root = write(tmp_path / "repo", {**files, "bad.py": "x = 1\n"})
    cache = str(tmp_path / "cache")
    first = one(root, tmp_path, "ruff", _DiesOn(), cache=cache)
    assert first.not_read == (("bad.py", "ruff was ended by signal:SIGSEGV while reading it"),)
    sandbox = UnconfinedSandbox()
    second = one(root, tmp_path, "ruff", sandbox, cache=cache)
    assert [word for command in sandbox.commands for word in command.argv if "./" in word] == [
        "./bad.py"
    ]
    assert (second.not_read, second.files_read, second.cached) == ((), 7, 6)
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_what_is_tried_on_purpose_and_what_is_of_python_2_weighs_little(
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "ws", {
        "shop/old.py": "import sys\n\ntry:\n    unicode\nexcept NameError:\n    unicode = str\n"
        "PY3 = sys.version_info[0] == 3\n\n\ndef f(x):\n    x.y\n"
        "    if not PY3:\n        return long(x)\n    try:\n        return xrange(lost)\n"
        "    except ImportError:\n        return basestring\n",
        "tests/test_old.py": "import pytest\n\n\ndef test_f(x):\n    x.y\n"
        "    with pytest.raises(ZeroDivisionError):\n        1 / 0\n",
        "deep.py": "x = " + "(" * 150 + "1" + ")" * 150 + "\nx.y\n",
    })  # fmt: skip
    found = one(root, tmp_path, "ruff", depth="thorough").findings
    assert [(f.rule, f.path, f.line, f.severity) for f in found] == [
        ("B018", "deep.py", 2, "medium"),
        ("YTT201", "shop/old.py", 7, "low"),
        ("B018", "shop/old.py", 11, "medium"),
        ("F821", "shop/old.py", 13, "info"),
        ("F821", "shop/old.py", 15, "info"),
        ("F821", "shop/old.py", 15, "medium"),
        ("F821", "shop/old.py", 17, "medium"),
        ("B018", "tests/test_old.py", 5, "low"),
    ]


def test_an_extra_of_what_is_no_query_is_none_of_djangos(tmp_path: Path) -> None:
    query = "rows = Shop.objects.all().extra(where=[text])\n"
    root = write(tmp_path / "ws", {
        "stream.py": "peer = stream.extra(Attribute.peer)\n",
        "views.py": "from django.shortcuts import render\nfrom shop.models import Shop\n" + query,
    })  # fmt: skip
    assert told(one(root, tmp_path, "bandit").findings) == [("B610", "views.py", 3)]


def test_permissions_of_one_digit_are_the_same_in_octal(tmp_path: Path) -> None:
    text = "import os\nos.umask(2)\nos.chmod('a', 755)\nos.mkfifo('b', mode=7)\n"
    root = write(tmp_path / "ws", {"a.py": text})
    assert told(one(root, tmp_path, "ruff").findings) == [("RUF064", "a.py", 3)]
