"""Values that tools called secrets are found again in their lines, and replaced in texts."""

import msgspec
import pytest

from visionflow.agents.findings import Finding, Suppressed, ToolRun
from visionflow.agents.tools.hiding import short_hash
from visionflow.agents.tools.veiling import KnownSecrets, secret_findings, values_of

HORSE = "corr3ct-h0rse-b4ttery"


def found(value: str, line: int = 1, rule: str = "KeywordDetector") -> Finding:
    told = f"a secret by its name (SHA-256 {short_hash(value)}...)"
    tool = "bandit" if rule.startswith("B") else "detect-secrets"
    return Finding(tool, rule, "medium", told, "a.py", line)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f'password = "{HORSE}"  # not "another"', HORSE),
        ("DB_PASSWORD=s3cr3t-value-1", "s3cr3t-value-1"),
        ("password: unquoted-v4lue", "unquoted-v4lue"),
        ('url = "postgres://me:p4ssw0rd@db.internal/x"', "p4ssw0rd"),
        ("f(b'tok-en_9f8a7', other='unrelated-9')", "tok-en_9f8a7"),
        ("key=>strange<v4l|ue>end", "strange<v4l|ue"),
    ],
)
def test_a_value_is_found_by_its_hash_and_nothing_beside_it(line: str, value: str) -> None:
    assert values_of(found(value), [line]) == {value}


def test_a_value_with_escapes_is_known_as_written_and_as_the_program_has_it() -> None:
    line = r'secret = "tab\t\x41quote\"end9"'
    assert values_of(found('tab\tAquote"end9', rule="B105"), [line]) == {
        r"tab\t\x41quote\"end9",
        'tab\tAquote"end9',
    }


def test_a_value_in_an_address_is_known_as_the_program_decodes_it() -> None:
    line = 'url = "postgres://me:p4ss%23word@db.internal/x"'
    assert values_of(found("p4ss%23word"), [line]) == {"p4ss%23word", "p4ss#word"}


def test_of_a_key_each_line_of_its_body_is_a_value() -> None:
    body = ["MIIEowIBAAKCAQEAu1SU1L", "7VLPHCgcFPSZTn9a8WqX6=="]
    lines = ["x", "-----BEGIN RSA PRIVATE KEY-----", *body, "-----END RSA PRIVATE KEY-----", "yyyy"]
    finding = Finding("detect-secrets", "PrivateKeyDetector", "high", "a key", "k.pem", 2)
    assert values_of(finding, lines) == set(body)
    inline = "k = '-----BEGIN PRIVATE KEY-----\\n" + "\\n".join(body) + "\\n-----END'"
    assert values_of(msgspec.structs.replace(finding, line=1), [inline]) == set(body)


def test_a_place_that_the_file_does_not_have_tells_no_value() -> None:
    assert values_of(found(HORSE, line=9), ["one line"]) == frozenset()
    assert values_of(found(HORSE), ["password = 'another'"]) == frozenset()


def test_suppressed_findings_are_asked_for_too_and_only_those_about_a_value() -> None:
    assign = Finding("bandit", "B105", "low", "m", "a.py", 1)
    run = ToolRun(
        "bandit", "1", (Finding("bandit", "B602", "high", "m", "a.py", 1),),
        suppressed=(Suppressed(assign, "comment", "# nosec"),),
    )  # fmt: skip
    assert secret_findings([run]) == (assign,)


def test_every_occurrence_is_replaced_in_every_form() -> None:
    known = KnownSecrets([HORSE, 'a"b<c>&9'])
    mark, other = (f"[secret SHA-256 {short_hash(each)}]" for each in (HORSE, 'a"b<c>&9'))
    assert known.text(f"x{HORSE}x and {HORSE}") == f"x{mark}x and {mark}"
    for form in ('a"b<c>&9', r"a\"b<c>&9", "a&quot;b&lt;c&gt;&amp;9", "a%22b%3Cc%3E%269"):
        assert known.text(f"<{form}>") == f"<{other}>"
    assert known.text(known.text(HORSE)) == mark


def test_what_a_cut_left_of_a_value_is_replaced() -> None:
    known = KnownSecrets([HORSE])
    mark = f"[secret SHA-256 {short_hash(HORSE)}]"
    assert known.text("is corr3ct-h0…") == f"is {mark}…"
    assert known.text("…se-b4ttery is") == f"…{mark} is"
    assert known.text("'corr3ct-h...-b4ttery'") == f"'{mark}...{mark}'"
    assert known.text("corr…") == "corr…"


def test_short_values_and_mere_names_are_left_and_words_only_replaced_whole() -> None:
    known = KnownSecrets(["abc12", "password", "SECRET_KEY", "changeme", "hunters", "123456"])
    assert known.values == {"hunters", "123456"}
    assert known.text("huntersmoon 51234567") == "huntersmoon 51234567"
    assert "hunters" not in known.text("got 'hunters'")
    told = known.cover({"status": "hunters", "message": "hunters", "n": 123456})
    assert told["status"] == "hunters"
    assert told["message"].startswith("[secret SHA-256 ")
    assert told["n"] == 123456


def test_a_tree_of_structs_is_covered_and_keeps_its_shape() -> None:
    known = KnownSecrets([HORSE])
    run = ToolRun("t", "1", (Finding("t", "r", "low", f"m {HORSE}", f"{HORSE}.py", 3),))
    covered = known.cover(run)
    assert HORSE.encode() not in msgspec.json.encode(covered)
    assert covered.findings[0].line == 3
    untouched = ToolRun("t", "1", (Finding("t", "r", "low", "m", "a.py", 3),))
    assert known.cover(untouched) == untouched
    odd = {"name": "\udcff", "said": HORSE}
    assert HORSE not in str(known.cover(odd))


def test_well_known_forms_go_without_anybody_having_found_them() -> None:
    told = KnownSecrets().text("at postgres://admin:s3cr3t@db/app <b>")
    assert told.startswith("at postgres://[secret SHA-256 ")
    assert told.endswith("@db/app <b>")
    assert "ghp_" not in KnownSecrets().cover(("ghp_" + "a1" * 18,))[0]
    assert KnownSecrets().text("<a>-----BEGIN PRIVATE KEY-----</a>").endswith("</a>")


def test_values_only_become_more() -> None:
    known = KnownSecrets([HORSE])
    assert known.with_values([HORSE, "short"]) is known
    assert known.with_values(["another-v4lue"]).values == {HORSE, "another-v4lue"}
