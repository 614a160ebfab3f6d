"""Facts of invented runs: a usual one, a large one, and one that strangers wrote to do harm."""

import hashlib
from typing import Any

import msgspec

from visionflow.agents.evidence import (
    Answer,
    Architecture,
    Ballot,
    Change,
    Citation,
    Cycle,
    Dependency,
    Dropped,
    EntryPoint,
    FixCommit,
    Hotspot,
    Module,
    Owner,
    Part,
    Place,
    Research,
    Survey,
    Todo,
    Vote,
)
from visionflow.agents.findings import Finding, Severity, Suppressed, ToolRun
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.tools.results import Case, Counts, FileCoverage, Flaky, TestRun
from visionflow.ports.sandbox import Confinement

SECRET = "hunter2-" + "correct-horse"
KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
HELD = Confinement("landlock", "namespace", "namespace", "cgroup")
_MODULES = (
    ("shop", "shop/__init__.py", 12, (), 0, 3),
    ("shop.cli", "shop/cli.py", 188, ("shop.app", "shop.settings"), 21, 14),
    ("shop.app", "shop/app.py", 240, ("shop.web.routes", "shop.settings", "shop.jobs"), 18, 22),
    ("shop.settings", "shop/settings.py", 96, (), 9, 17),
    ("shop.web.routes", "shop/web/routes.py", 402,
     ("shop.web.views", "shop.web.session", "shop.orders.service"), 44, 61),
    ("shop.web.views", "shop/web/views.py", 321, ("shop.web.templates", "shop.catalog.search"),
     38, 40),
    ("shop.web.session", "shop/web/session.py", 154, ("shop.store.cache", "shop.users.tokens"),
     19, 25),
    ("shop.web.templates", "shop/web/templates.py", 88, (), 6, 8),
    ("shop.orders.service", "shop/orders/service.py", 566,
     ("shop.orders.pricing", "shop.orders.model", "shop.payments.gateway", "shop.store.db"),
     87, 74),
    ("shop.orders.pricing", "shop/orders/pricing.py", 298,
     ("shop.orders.discounts", "shop.orders.model"), 61, 52),
    ("shop.orders.discounts", "shop/orders/discounts.py", 204, ("shop.orders.pricing",), 42, 33),
    ("shop.orders.model", "shop/orders/model.py", 177, ("shop.store.types",), 11, 20),
    ("shop.payments.gateway", "shop/payments/gateway.py", 233,
     ("shop.payments.retry", "shop.settings", "shop.store.types"), 33, 29),
    ("shop.payments.retry", "shop/payments/retry.py", 71, (), 12, 6),
    ("shop.catalog.search", "shop/catalog/search.py", 310, ("shop.store.db", "shop.catalog.index"),
     49, 18),
    ("shop.catalog.index", "shop/catalog/index.py", 190, ("shop.store.db",), 27, 9),
    ("shop.users.tokens", "shop/users/tokens.py", 143, ("shop.users.model", "shop.settings"),
     16, 12),
    ("shop.users.model", "shop/users/model.py", 120, ("shop.store.types",), 8, 15),
    ("shop.store.db", "shop/store/db.py", 265, ("shop.store.types", "shop.settings"), 31, 36),
    ("shop.store.cache", "shop/store/cache.py", 101, ("shop.settings",), 14, 7),
    ("shop.store.types", "shop/store/types.py", 83, (), 3, 11),
    ("shop.jobs", "shop/jobs.py", 137, ("shop.orders.service", "shop.catalog.index"), 22, 10),
    ("shop.report", "shop/report.py", 174, ("shop.store.db",), 26, 4),
)  # fmt: skip
_RING = ("shop.orders.discounts", "shop.orders.pricing")


def finding(
    tool: str,
    rule: str,
    severity: Severity,
    message: str,
    path: str,
    line: int,
    cwe: int | None = None,
    snippet: str = "",
) -> Finding:
    """A finding with a fingerprint of its own."""
    text = "\x00".join((tool, rule, path, str(line), message))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Finding(tool, rule, severity, message, path, line, 1, None, cwe, digest, snippet)


def findings() -> tuple[ToolRun, ...]:
    """Five tools, as they report."""
    bandit = (
        finding("bandit", "B602", "high", "subprocess call with shell=True identified",
                "shop/jobs.py", 88, 78, "subprocess.run(f\"convert {name} out.png\", shell=True)"),
        finding("bandit", "B608", "medium", "Possible SQL injection vector through string-based "
                "query construction.", "shop/catalog/search.py", 141, 89,
                "rows = db.execute(f\"SELECT * FROM items WHERE name = '{term}'\")"),
        finding("bandit", "B105", "low", f"Possible hardcoded password: '{SECRET}'",
                "shop/settings.py", 31, 259, f'PASSWORD = "{SECRET}"'),
        finding("bandit", "B324", "high", "Use of weak MD5 hash for security. Consider "
                "usedforsecurity=False", "shop/users/tokens.py", 52, 327,
                "digest = hashlib.md5(raw).hexdigest()"),
        finding("bandit", "B101", "low", "Use of assert detected.", "shop/orders/model.py", 60,
                703, "assert total >= 0"),
    )  # fmt: skip
    ruff = (
        finding("ruff", "B006", "medium", "Do not use mutable data structures for argument "
                "defaults", "shop/orders/service.py", 212, None, "def place(self, items=[]):"),
        finding("ruff", "F401", "low", "`json` imported but unused", "shop/report.py", 4, None,
                "import json"),
        finding("ruff", "E722", "medium", "Do not use bare `except`", "shop/payments/gateway.py",
                120, 703, "except:"),
        finding("ruff", "S324", "high", "Probable use of insecure hash functions in `hashlib`",
                "shop/users/tokens.py", 52, 327, "digest = hashlib.md5(raw).hexdigest()"),
        finding("ruff", "PERF401", "low", "Use a list comprehension to create a transformed list",
                "shop/catalog/index.py", 77, None, "found.append(item.name)"),
        finding("ruff", "F841", "low", "Local variable `total` is assigned to but never used",
                "shop/orders/pricing.py", 93, None, "total = 0"),
    )  # fmt: skip
    complexity = (
        finding("complexipy", "cognitive-complexity", "medium", "place_order has a cognitive "
                "complexity of 41, more than 15", "shop/orders/service.py", 198, None,
                "def place_order(self, basket, user):"),
        finding("complexipy", "cognitive-complexity", "medium", "price has a cognitive complexity "
                "of 28, more than 15", "shop/orders/pricing.py", 44, None, "def price(order):"),
    )  # fmt: skip
    secret = finding(
        "detect-secrets", "Secret Keyword", "high",
        "Secret Keyword, sha256 3f1c9d20ab", "shop/settings.py", 31, 798, 'PASSWORD = "••••"',
    )  # fmt: skip
    dead = finding("vulture", "unused-function", "low", "unused function 'legacy_total'",
                   "shop/orders/pricing.py", 240, None, "def legacy_total(order):")  # fmt: skip
    hidden = Suppressed(
        finding("ruff", "E731", "low", "Do not assign a `lambda` expression, use a `def`",
                "shop/web/views.py", 18, None, "render = lambda t: t"),
        "comment", "# noqa: E731",
    )  # fmt: skip
    by_file = Suppressed(
        finding("bandit", "B311", "low", "Standard pseudo-random generators are not suitable",
                "shop/catalog/search.py", 12, 330, "random.choice(words)"),
        "configuration", "pyproject.toml: tool.bandit.skips",
    )  # fmt: skip
    unread = (("shop/legacy/old.py", "it does not parse: invalid syntax, line 3"),)
    held = ("filesystem: landlock", "network: namespace")
    return (
        ToolRun("bandit", "1.9.2", bandit, 48, unread, enforced=held, suppressed=(by_file,)),
        ToolRun("complexipy", "8.1", complexity, 48, unread, enforced=held, cached=31),
        ToolRun("detect-secrets", "1.5.0", (secret,), 71, enforced=held, cached=40),
        ToolRun("ruff", "0.14.5", ruff, 49, enforced=held, suppressed=(hidden,), cached=31),
        ToolRun("vulture", "2.14", (dead,), 48, unread, enforced=held),
    )


def suite_run() -> TestRun:
    """A suite with a failure and a flaky test."""
    failed = Case(
        "tests/test_pricing.py::test_discounts_add_up", "failed", 0.12,
        "    def test_discounts_add_up():\n>       assert price(order) == 90\n"
        "E       assert 91 == 90\n\ntests/test_pricing.py:41: AssertionError",
        "assert 91 == 90",
    )  # fmt: skip
    files = [
        FileCoverage(path, lines, tuple(range(lines // 2, lines // 2 + lines * part // 100)),
                     lines // 6, ((lines // 2, 1),) if part else ())
        for (_, path, lines, _, _, _), part in zip(
            _MODULES,
            (0, 60, 22, 4, 18, 31, 12, 0, 24, 9, 41, 2, 35, 0, 28, 15, 8, 0, 11, 5, 0, 72, 100),
            strict=True,
        )
    ]  # fmt: skip
    flaky = Flaky("tests/test_search.py::test_ranking_is_stable", ("passed", "passed"),
                  ("failed", "passed"), "assert ['b', 'a'] == ['a', 'b']")  # fmt: skip
    ran = sum(len(file.missing) for file in files)
    return TestRun(
        outcome="failed", reason="1 of 214 tests failed", counts=Counts(210, 1, 0, 2, 1),
        collected=214, cases=(failed,),
        slowest=(Case("tests/test_app.py::test_whole_order", "passed", 2.31),
                 Case("tests/test_search.py::test_large_catalog", "passed", 1.9)),
        coverage=100 * (1 - ran / sum(file.lines for file in files)), branch_coverage=68.4,
        files=tuple(sorted(files, key=lambda file: file.path)), flaky=(flaky,), pass_rate=210 / 211,
        environment="Python 3.11 of this machine, the project's own requirements were there",
        interpreter="/usr/bin/python3.11", enforced=HELD, seconds=14.2,
        notes=("1 test is flaky and was put in quarantine.",),
    )  # fmt: skip


def architecture() -> Architecture:
    """A shop with one ring of imports."""
    edges = [(name, each) for name, _, _, imports, _, _ in _MODULES for each in imports]
    fan_in = {name: sum(b == name for _, b in edges) for name, *_ in _MODULES}
    largest = max(row[4] * row[5] for row in _MODULES)
    hot = sorted(_MODULES, key=lambda row: -row[4] * row[5])[:8]
    return Architecture(
        modules=tuple(
            Module(name, path, lines, fan_in[name], len(imports), None if name in _RING else 1,
                   complexity, changes)
            for name, path, lines, imports, complexity, changes in _MODULES
        ),
        edges=tuple(sorted(edges)),
        cycles=(Cycle(_RING, (Place("shop/orders/discounts.py", 5),
                              Place("shop/orders/pricing.py", 9))),),
        layers=8,
        hotspots=tuple(
            Hotspot(path, changes, complexity, changes * complexity / largest,
                    "place_order" if "service" in path else "run", 44, complexity // 2)
            for _, path, _, _, complexity, changes in hot
        ),
        owners=(Owner("shop/orders", "Ada Lovelace", 0.71, 3),
                Owner("shop/web", "Grace Hopper", 0.52, 5)),
        scalability_score=0.83, commits=412,
        not_read=(("shop/legacy/old.py", "it does not parse: invalid syntax, line 3"),),
    )  # fmt: skip


def research() -> Research:
    """Answers to the goal's terms."""
    cited = (
        Citation("README.md", 14, "Security reports go to security@example.org.", "docs"),
        Citation("shop/users/tokens.py", 3, '"""Session tokens: made, checked and revoked."""',
                 "code"),
        Citation("shop/settings.py", 31, f'PASSWORD = "{SECRET}"', "code"),
        Citation("git log", 1, "Check tokens in constant time", "log", "4f2a9c0d1e2b3a4c"),
    )  # fmt: skip
    return Research(
        answers=(Answer(("security",), cited, 23), Answer(("tests",), cited[:1], 61),
                 Answer(("quality",), (), 0)),
        completeness=2 / 3,
        entry_points=(EntryPoint("console_scripts", "shop", "shop.cli:main",
                                 Place("pyproject.toml", 22)),),
        undeclared=(Dependency("requests", Place("shop/payments/gateway.py", 7)),),
        unused=(Dependency("python-dateutil", Place("pyproject.toml", 14)),),
        declared=9, imported=9,
        todos=(Todo("FIXME", "rounding differs from the invoice", Place("shop/orders/pricing.py",
                                                                        61)),),
        indexed={"code": 49, "docs": 7, "commits": 412},
    )  # fmt: skip


def change() -> Change:
    """Three fixes, one left out."""
    return Change(
        outcome="changed", base="b" * 40, branch="visionflow/run_sample", tip="c" * 40,
        commits=(
            FixCommit("F401", "Remove imports that nothing uses", "1a2b3c4d" * 5,
                      ("shop/report.py",), 1),
            FixCommit("F841", "Remove variables that nothing reads", "2b3c4d5e" * 5,
                      ("shop/orders/pricing.py",), 1),
        ),
        dropped=(Dropped("PERF401", "the tests did not end as before: "
                         "tests/test_search.py::test_ranking_is_stable failed"),),
        files=("shop/orders/pricing.py", "shop/report.py"), insertions=2, deletions=4,
        patch_sha256="d" * 64, gates={"tests": True, "findings": True}, fixed=2,
        code_quality=0.87,
    )  # fmt: skip


def vote() -> Vote:
    """Two for, one against."""
    members = ("reviewer-maintainability", "reviewer-performance", "reviewer-security")
    return Vote(
        "Is the patch taken?", members,
        (
            Ballot(members[2], "approve", "findings", "2 findings are gone and none is new",
                   {"gone": 2, "new": 0}),
            Ballot(members[0], "approve", "tests", "All 211 tests end as before",
                   {"compared": 211, "differing": 0}),
            Ballot(members[1], "reject", "behaviour", "price() gives another value for 1 of 64 "
                   "inputs", {"compared": 64, "differing": 1, "function": "price"}),
        ),
        "approved",
    )  # fmt: skip


_TASKS = (
    ("survey", "coordinator", "survey"), ("review: security", "reviewer", "examine"),
    ("review: performance", "reviewer", "examine"),
    ("review: maintainability", "reviewer", "examine"), ("architecture", "architect", "examine"),
    ("research", "researcher", "examine"), ("tests", "tester", "examine"),
    ("fixes", "coder", "improve"), ("vote on security", "reviewer", "vote"),
    ("vote on performance", "reviewer", "vote"), ("vote on maintainability", "reviewer", "vote"),
    ("verdict", "coordinator", "conclude"),
)  # fmt: skip


def tasks() -> tuple[TaskFacts, ...]:
    """An audit's tasks, all done."""
    return tuple(
        TaskFacts(
            title.replace(" ", "-"),
            title,
            role,
            phase,
            "completed",
            None,
            1,
            "vote" if phase == "vote" else "",
        )
        for title, role, phase in _TASKS
    )


def sample(**other: Any) -> RunFacts:
    """A usual audit of a small shop, with whatever is to be `other`wise."""
    facts = RunFacts(
        run="run_sample", goal="Audit this repository: security, quality, tests",
        playbook="audit", why="The goal asks to 'audit', which the playbook audit does.",
        workspace="/home/ada/shop", out="/home/ada/shop/.visionflow/runs/run_sample",
        status="completed", started="2026-01-05T09:30:00.000Z", seconds=41.7, tasks=tasks(),
        gates=("tests", "syntax", "findings", "secrets", "cycles", "patch"), tests=suite_run(),
        survey=Survey(75, 49, (Part("all"),)),
        tools=findings(), research=research(), architecture=architecture(), change=change(),
        vote=vote(), head="9f8e7d6c" * 5, dirty=True,
        warnings=("researcher: sources: web has no effect: there is no network",
                  "tester: retries has no effect: nobody reads it"),
        own_warnings=("tester: retries has no effect: nobody reads it",),
        notes=("data/export.csv: not read (Permission denied)",),
    )  # fmt: skip
    return msgspec.structs.replace(facts, **other)


def many_findings(count: int) -> tuple[ToolRun, ...]:
    """One tool with this many findings over many files."""
    severities: tuple[Severity, ...] = ("high", "medium", "low", "info")
    found = tuple(
        finding("ruff", f"R{n % 90:03}", severities[n % 4], f"message number {n}",
                f"pkg/part{n % 40}/module{n % 700}.py", 1 + n // 7, None, f"line {n}")
        for n in range(count)
    )  # fmt: skip
    return (ToolRun("ruff", "0.14", found, 700),)


def large_architecture(modules: int) -> Architecture:
    """So many modules in forty packages, some of them in rings."""
    names = [f"big.part{n % 40:02}.module{n:04}" for n in range(modules)]
    edges = sorted({(names[n], names[n * k // 3]) for n in range(1, modules) for k in (1, 2)})
    ring = (names[0], names[1])
    return Architecture(
        modules=tuple(
            Module(name, name.replace(".", "/") + ".py", 40 + n % 300, 1, 2, n % 9,
                   (n * 37) % 90, (n * 17) % 120)
            for n, name in enumerate(names)
        ),
        edges=tuple(sorted({*edges, ring, ring[::-1]})),
        cycles=(Cycle(ring, (Place("big/a.py", 1), Place("big/b.py", 1))),),
        layers=9, commits=5_000, scalability_score=0.9,
    )  # fmt: skip


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "[a](javascript:alert(1))",
    "![x](http://evil.example/p.png)",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\u202egnp.exe\u2066",
    "{{ 7 * 7 }}{% raw %}",
    "]]></style><style>body{display:none}</style>",
    "a | b\n| fake | row |",
    "```\n# heading\n```",
    "$(touch pwned) `id` ; rm -rf /",
    "x" * 10_000,
)


def hostile(text: str) -> RunFacts:
    """Everything that a stranger can have a hand in says `text`."""
    found = finding("ruff", text, "high", text, text + ".py", 1, None, text)
    hidden = Suppressed(found, "comment", text)
    tool = ToolRun("ruff", text, (found,), 1, ((text, text),), "failed", text,
                   suppressed=(hidden,))  # fmt: skip
    case = Case(text, "failed", 0.1, text, text, text)
    place = Place(text, 1)
    flaky = Flaky(text, ("passed",), ("failed",), text)
    return sample(
        goal=text, why=text, workspace="/tmp/" + text, head=text, warnings=(text,),
        own_warnings=(text,), notes=(text,),
        tools=(tool,),
        tasks=(TaskFacts("t", text, "tester", "examine", "failed", text, 2),),
        tests=TestRun("failed", text, Counts(1, 1), 2, (case,), (case,), None, text,
                      files=(FileCoverage(text, 9, (1, 2)),), flaky=(flaky,), environment=text,
                      interpreter=text, enforced=Confinement(None, None, None, None, (text,)),
                      missing=(text,), notes=(text,)),
        architecture=Architecture(
            (Module(text, text, 1, 1, 1, None, 5, 5), Module("b", "b.py", 1, 1, 1, None, 5, 5)),
            ((text, "b"), ("b", text)), (Cycle((text, "b"), (place, place)),), None,
            (Hotspot(text, 5, 5, 1.0, text, 1, 5),), (Owner(text, text, 1.0, 1),), None, 3,
            ((text, text),), (text,),
        ),
        research=Research(
            (Answer((text,), (Citation(text, 1, text, "code"),), 1),), 1.0,
            (EntryPoint(text, text, text, place),), (Dependency(text, place),),
            (Dependency(text, None),), 1, 1, (Todo(text, text, place),), {text: 1},
            ((text, text),), (text,),
        ),
        change=Change("changed", text, "b", text, "c", (FixCommit(text, text, text, (text,), 1),),
                      (Dropped(text, text),), (text,), 1, 1, None, {"tests": True}, 1, (found,),
                      None, (text,)),
        vote=Vote(text, (text, "m"), (Ballot(text, "reject", text, text, {text: text}),),
                  "approved"),
    )  # fmt: skip
