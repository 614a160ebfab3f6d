"""Secrets in some text files, by detect-secrets; nothing is verified, and no secret is written.

Runs confined, by its file. Arguments: the detectors as JSON, the output file, then the files.
Writes for each file [[detector, line, short SHA-256, beginning of the SHA-1, the line with the
secret masked, the comment that allows it or null], ...], or why it could not be read.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

_MASK = "****"
_LINE_MAX = 10_000
_KEY = re.compile(r"[A-Za-z0-9+/]{24,}")
_KEY_LINE = re.compile(r"""[\s"'#+]*[A-Za-z0-9+/]{24,}={0,2}(?:\\[nr])*["',\s\\)]*""")
_SETTING = re.compile(r"\s*(?:export\s+)?([\w.-]+)\s*=\s*([^\s\"'`]+)\s*")
_COMMENT = re.compile(r"pragma: ?(?:allow|white)list[ -](?:nextline[ -])?secret", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"(?:your|my|some|the|a|an|new|old|fake|dummy|test|example|sample|default|change|insert|put)?"
    r"[\W_]*(?:pass(?:wo?r?d)?|pw|pwd|secret|token|api|key|user(?:name)?|me|here|value|example|"
    r"placeholder|none|null|true|false|undefined|foo|bar|baz|qux|x+|\*+|\.+|todo|redacted)"
    r"(?:[\W_]*(?:here|key|token|secret|password|value|me))?[\W_]*\d{0,3}",
    re.IGNORECASE,
)
_NO_HOST = re.compile(
    r"(?:.*\.)?(?:example(?:\.(?:com|net|org))?|test|invalid)|.*%.*", re.IGNORECASE
)
"""Reserved for examples and tests (RFC 2606), or nothing that a host is named."""
_WORDS = re.compile(r"[a-z]+(?:[ _./:-][a-z]+)*[.:!?]?|[A-Z]+(?:_[A-Z]+)*|[A-Z][a-z]+(?: [a-z]+)*")


def main() -> int:
    """Read all files."""
    wanted, output, *files = sys.argv[1:]
    reader = _Reader(json.loads(wanted))
    found = {file: reader.read(file) for file in files}
    with open(output, "w", encoding="utf-8") as out:
        json.dump(found, out)
    return 0


class _Reader:
    """Asks each detector first whether a file has anything for it at all: few files have."""

    def __init__(self, wanted: list[str]) -> None:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.keyword import DENYLIST

        every = {each.__name__: each for each in get_mapping_from_secret_type_to_class().values()}
        self.detectors: list[tuple[str, Any, list[re.Pattern[str]]]] = []
        for name in sorted(wanted):
            made: Any = every[name]()
            words = [re.compile("|".join(DENYLIST), re.IGNORECASE)]
            self.detectors.append((name, made, list(getattr(made, "denylist", words))))

    def read(self, name: str) -> "list[list[Any]] | str":
        """What is found in one file, or why it cannot be read."""
        if _is_left_out(name):
            return []
        try:
            with open(name, "rb") as file:
                content = file.read()
        except OSError:
            return "cannot be read"
        if b"\0" in content[:8192]:
            return []
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            return "not UTF-8"
        lines = text.splitlines()
        found: list[list[Any]] = []
        for detector, made, patterns in self.detectors:
            if any(pattern.search(text) for pattern in patterns):
                for number, line in enumerate(lines, 1):
                    if any(pattern.search(line) for pattern in patterns):
                        found += _in_line(name, lines, number, detector, made)
        return sorted(_distinct(found), key=str)


def _in_line(
    name: str, lines: list[str], number: int, detector: str, made: Any
) -> Iterator[list[Any]]:
    line = lines[number - 1].rstrip()
    if detector == "KeywordDetector" and len(line) > _LINE_MAX:
        return
    found = made.analyze_line(filename=name, line=_quoted(name, line), line_number=number)
    for secret in sorted({each.secret_value or "" for each in found}):
        if _is_none(detector, secret, line, made):
            continue
        if detector == "PrivateKeyDetector" and not _has_key(lines, number):
            continue
        raw = secret.encode("utf-8", "surrogatepass")
        digests = hashlib.sha256(raw).hexdigest()[:8], hashlib.sha1(raw).hexdigest()[:10]
        shown = line.replace(secret, _MASK) if secret else line
        yield [detector, number, *digests, shown, _allowed(name, lines, number)]


def _has_key(lines: list[str], number: int) -> bool:
    """Whether a key follows its first line, and not only the word for one stands there."""
    after = lines[number - 1].partition("BEGIN")[2].partition("KEY")[2]
    following = lines[number : number + 4]
    return bool(_KEY.search(after)) or any(_KEY_LINE.fullmatch(line) for line in following)


def _is_left_out(name: str) -> bool:
    """Files whose text only looks like secrets."""
    from detect_secrets.filters import heuristic

    return bool(
        heuristic.is_non_text_file(name)
        or heuristic.is_lock_file(name)
        or heuristic.is_swagger_file(name)
    )


def _is_none(detector: str, secret: str, line: str, made: Any) -> bool:
    """Whether it is no secret, by the library's own rules and ours."""
    from detect_secrets.filters import heuristic

    return bool(
        not secret
        or heuristic.is_sequential_string(secret)
        or heuristic.is_potential_uuid(secret)
        or heuristic.is_likely_id_string(secret, line, made)
        or heuristic.is_templated_secret(secret)
        or heuristic.is_prefixed_with_dollar_sign(secret)
        or (detector == "KeywordDetector" and heuristic.is_indirect_reference(line))
        or heuristic.is_not_alphanumeric_string(secret)
        or _is_placeholder(detector, secret)
        or (detector == "BasicAuthDetector" and _leads_nowhere(secret, line))
    )


def _leads_nowhere(secret: str, line: str) -> bool:
    """Whether every address in the line with this password names no host that there could be."""
    hosts = re.findall(re.escape(f":{secret}@") + r"([^\s/:?#\"'`<>()\]]*)", line)
    return bool(hosts) and all(_NO_HOST.fullmatch(host) for host in hosts)


def _quoted(name: str, line: str) -> str:
    """A setting without quotes, as files of settings have them, with quotes."""
    base = name.rpartition("/")[2]
    if base.startswith(".env") or base.endswith((".env", ".cfg", ".conf", ".ini", ".properties")):
        found = _SETTING.fullmatch(line)
        if found is not None:
            return f'{found[1]} = "{found[2]}"'
    return line


def _distinct(found: list[list[Any]]) -> list[list[Any]]:
    """What is known by its form needs no finding by its name as well."""
    known = {(each[1], each[2]) for each in found if each[0] != "KeywordDetector"}
    lines = {line for line, _ in known}
    return [each for each in found if each[0] != "KeywordDetector" or each[1] not in lines]


def _is_placeholder(detector: str, secret: str) -> bool:
    """Whether it only shows where a secret would stand; a name alone proves nothing."""
    if detector == "PrivateKeyDetector":
        return False
    if _PLACEHOLDER.fullmatch(secret) or secret.upper().endswith("EXAMPLE"):
        return True
    if len(secret) > 8 and len(set(secret[4:].lower())) < 3:
        return True
    return detector == "KeywordDetector" and (
        len(secret) < 6 or bool(_WORDS.fullmatch(secret)) or "{" in secret or " " in secret
    )


def _allowed(name: str, lines: list[str], number: int) -> "str | None":
    from detect_secrets.filters.allowlist import is_line_allowlisted
    from detect_secrets.util.code_snippet import get_code_snippet

    if not 0 < number <= len(lines):
        return None
    context = get_code_snippet(lines, number)
    if not is_line_allowlisted(name, lines[number - 1].rstrip(), context):
        return None
    for line in (lines[number - 1], lines[number - 2] if number > 1 else ""):
        found = _COMMENT.search(line)
        if found is not None:
            return found[0]
    return "an allowlist comment"


if __name__ == "__main__":
    sys.exit(main())
