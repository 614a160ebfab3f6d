"""The rule table: every rule that a tool can tell of has a row, and no row is of nothing."""

import json
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tool_projects import write

from visionflow.agents.evidence import FOCUSES
from visionflow.agents.findings import SEVERITIES
from visionflow.agents.rule_rows import SELECT
from visionflow.agents.rules import COMPLEXITY, TOOLS, UNREACHABLE, fixable_rules, rows_of, rule_of
from visionflow.agents.tools.secrets import detectors
from visionflow.testing.rule_docs import DOCS_END, DOCS_START, rule_table

_RUFF = str(Path(sys.executable).with_name("ruff"))
_ROOT = Path(__file__).parents[2]
_TOO_NOISY = {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"}

MENDABLE = {
    "B009": "def f(x):\n    return getattr(x, 'name')\n",
    "B010": "def f(x):\n    setattr(x, 'name', 1)\n",
    "B013": "try:\n    pass\nexcept (ValueError,):\n    pass\n",
    "B014": "try:\n    pass\nexcept (ValueError, ValueError):\n    pass\n",
    "B033": "x = {1, 1}\n",
    "C413": "def f(x):\n    return list(sorted(x))\n",
    "E713": "def f(x, y):\n    return not x in y\n",
    "E714": "def f(x, y):\n    return not x is y\n",
    "F401": "import os\n",
    "F504": "'%(a)s' % {'a': 1, 'b': 2}\n",
    "F522": "'{a}'.format(a=1, b=2)\n",
    "F541": "x = f'a'\n",
    "F632": "def f(x):\n    return x is 'a'\n",
    "LOG009": "import logging\nx = logging.WARN\n",
    "PERF101": "y = (1, 2)\nfor i in list(y):\n    print(i)\n",
    "PLR1733": "def f():\n    d = {}\n    for k, v in d.items():\n        print(d[k])\n",
    "PLR1736": "def f(xs):\n    for i, x in enumerate(xs):\n        print(xs[i])\n",
    "RUF019": "def f(d):\n    if 'k' in d and d['k']:\n        return 1\n",
    "RUF051": "def f(k):\n    d = {}\n    if k in d:\n        del d[k]\n",
    "RUF068": "__all__ = ['a', 'a']\na = 1\n",
    "W605": "x = '\\d'\n",
}


def _ruff(*words: str, cwd: Path | None = None) -> Any:
    done = subprocess.run([_RUFF, *words], capture_output=True, cwd=cwd, timeout=60, check=True)
    return json.loads(done.stdout)


def _is_selected(code: str) -> bool:
    """A selector of letters stands for the rules of that family, not for longer families."""
    return any(
        code == each or (each.isalpha() and code.startswith(each) and code[len(each) :].isdigit())
        for each in SELECT
    )


def test_every_rule_that_ruff_is_asked_for_has_a_row_and_no_row_is_of_another() -> None:
    every = _ruff("rule", "--all", "--output-format", "json")
    codes = {
        rule["code"]
        for rule in every
        if rule["code"] and _is_selected(rule["code"]) and "Stable" in rule["status"]
    }
    assert len(codes) > 150
    assert [code for code in sorted(codes) if not rule_of("ruff", code).known] == []
    patterns = [row[0] for row in rows_of("ruff") if row[0] != "invalid-syntax"]
    assert [p for p in patterns if not any(fnmatchcase(code, p) for code in codes)] == []


def test_every_check_of_bandits_has_a_row_of_its_own() -> None:
    # In a process of its own: stevedore warns of bandit, and warnings are errors here.
    program = (
        "import json; from bandit.core.extension_loader import MANAGER as m;"
        "print(json.dumps([each.plugin._test_id for each in m.plugins]"
        " + [each['id'] for some in m.blacklist.values() for each in some]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True
    )
    plugins: set[str] = set(json.loads(done.stdout))
    rows = rows_of("bandit")
    assert rows[-1][0] == "B*"
    own = [row[0] for row in rows[:-1]]
    assert [rule for rule in sorted(plugins) if not any(fnmatchcase(rule, p) for p in own)] == []
    assert [p for p in own if not any(fnmatchcase(rule, p) for rule in plugins)] == []


def test_every_detector_of_secrets_that_is_used_has_a_row() -> None:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    every = {each.__name__ for each in get_mapping_from_secret_type_to_class().values()}
    assert set(detectors()) == every - _TOO_NOISY


def test_what_our_own_programs_tell_has_a_row() -> None:
    from visionflow.agents.inside.deadcode import KINDS

    rules = {f"unused-{kind}" for kind in KINDS} | {UNREACHABLE}
    assert {row[0] for row in rows_of("vulture")} == rules
    assert rule_of("complexipy", COMPLEXITY).known


def test_rows_are_whole_and_the_first_that_fits_holds() -> None:
    for tool in TOOLS:
        for pattern, focus, severity, cwe, title, fixable in rows_of(tool):
            assert focus in FOCUSES and severity in SEVERITIES, pattern
            assert title and len(title) <= 64 and not title.endswith("."), pattern
            assert cwe is None or 0 < cwe < 2_000, pattern
            assert not fixable or tool == "ruff", pattern
    assert rule_of("ruff", "F401").cwe == 1164
    assert rule_of("ruff", "F507").title != rule_of("ruff", "F504").title
    assert not rule_of("ruff", "X999").known
    assert not rule_of("stranger", "F401").known


def test_what_may_be_mended_is_what_ruff_calls_safe(tmp_path: Path) -> None:
    assert sorted(MENDABLE) == list(fixable_rules())
    write(tmp_path, {f"{rule}.py": text for rule, text in MENDABLE.items()})
    told = _ruff(
        "check", "--isolated", "--no-cache", "--exit-zero", "--output-format", "json",
        "--select", ",".join(SELECT), ".", cwd=tmp_path,
    )  # fmt: skip
    safe = {
        each["code"]
        for each in told
        if Path(each["filename"]).stem == each["code"] and each["fix"]["applicability"] == "safe"
    }
    assert safe == set(MENDABLE)


def test_the_table_in_the_docs_is_the_table() -> None:
    text = (_ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    _, start, rest = text.partition(DOCS_START)
    table, end, _ = rest.partition(DOCS_END)
    assert start and end
    assert table.strip() == rule_table().strip(), "run: python -m visionflow.testing.rule_docs"


@pytest.mark.parametrize("tool", TOOLS)
def test_no_two_rows_of_a_tool_have_one_pattern(tool: str) -> None:
    patterns = [row[0] for row in rows_of(tool)]
    assert len(patterns) == len(set(patterns))
