"""The one table of what the review tools can object to, and what each objection weighs.

A tool's adapter takes severities from here, SARIF the titles, the coder which rules ruff mends
safely, and a reviewer which rules are its own. Rows are in `rule_rows` (ruff) and below (the
others); the first row whose pattern fits a rule holds. docs/rules.md is made from it.
"""

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

import msgspec

from visionflow.agents.evidence import Focus
from visionflow.agents.findings import Severity
from visionflow.agents.rule_rows import M, Row, S, ruff_rows

Depth = Literal["quick", "standard", "thorough"]
DEPTHS: tuple[Depth, ...] = ("quick", "standard", "thorough")
TOOLS = ("bandit", "complexipy", "detect-secrets", "ruff", "vulture")
"""The review tools, sorted."""

COMPLEXITY = "cognitive-complexity"
UNREACHABLE = "unreachable-code"

_BANDIT: tuple[Row, ...] = (
    ("B101", S, "low", 703, "an assert that optimised Python leaves out", False),
    ("B102", S, "medium", 78, "exec of text", False),
    ("B103", S, "high", 732, "file permissions that let others in", False),
    ("B104", S, "medium", 605, "a server that listens on every address", False),
    ("B10[567]", S, "low", 259, "a password in the code", False),
    ("B108", S, "medium", 377, "a fixed path in a folder that everybody may write to", False),
    ("B11[02]", S, "low", 703, "an exception that is swallowed", False),
    ("B113", S, "medium", 400, "a request that may wait for ever", False),
    ("B201", S, "high", 94, "a debugger that strangers can reach", False),
    ("B202", S, "high", 22, "an archive unpacked without a look at its names", False),
    ("B301", S, "medium", 502, "pickle of data that may be foreign", False),
    ("B302", S, "medium", 502, "marshal of data that may be foreign", False),
    ("B303", S, "medium", 327, "a weak hash", False),
    ("B304", S, "high", 327, "a broken cipher", False),
    ("B305", S, "medium", 327, "a weak cipher mode", False),
    ("B306", S, "medium", 377, "a temporary name that another may take first", False),
    ("B307", S, "medium", 78, "eval of text", False),
    ("B308", S, "medium", 79, "HTML marked safe", False),
    ("B310", S, "medium", 22, "a URL that may name a local file", False),
    ("B311", S, "low", 330, "randomness that can be foretold", False),
    ("B312", S, "high", 319, "telnet, which sends in the clear", False),
    ("B31[3-9]", S, "medium", 20, "an XML parser without protection", False),
    ("B321", S, "high", 319, "FTP, which sends in the clear", False),
    ("B323", S, "medium", 295, "certificates are not checked", False),
    ("B324", S, "high", 327, "a weak hash", False),
    ("B40[12]", S, "high", 319, "an import of what sends in the clear", False),
    ("B403", S, "low", 502, "an import of pickle and its kin", False),
    ("B404", S, "low", 78, "an import of subprocess", False),
    ("B40[5-9]", S, "low", 20, "an import of an XML parser without protection", False),
    ("B411", S, "high", 20, "XML-RPC without protection", False),
    ("B412", S, "high", 284, "CGI whose environment strangers can set", False),
    ("B413", S, "high", 327, "a library of ciphers that nobody maintains", False),
    ("B415", S, "high", 319, "IPMI, which sends in the clear", False),
    ("B501", S, "high", 295, "certificates are not checked", False),
    ("B50[23]", S, "high", 327, "a broken version of TLS", False),
    ("B504", S, "low", 327, "TLS without a version", False),
    ("B505", S, "high", 326, "a key that is too short", False),
    ("B506", S, "medium", 20, "YAML that may build any object", False),
    ("B507", S, "high", 295, "SSH that trusts every host", False),
    ("B50[89]", S, "medium", 319, "SNMP without protection", False),
    ("B601", S, "medium", 78, "a shell command over SSH", False),
    ("B602", S, "high", 78, "a command given to a shell", False),
    ("B603", S, "low", 78, "a command whose words may be foreign", False),
    ("B604", S, "medium", 78, "a call with shell=True", False),
    ("B605", S, "high", 78, "a command given to a shell", False),
    ("B606", S, "low", 78, "a process started without a shell", False),
    ("B607", S, "low", 78, "a program looked up on the path", False),
    ("B608", S, "medium", 89, "SQL put together from text", False),
    ("B609", S, "high", 155, "a wildcard given to a command", False),
    ("B61[01]", S, "medium", 89, "SQL put together from text", False),
    ("B612", S, "medium", 94, "logging settings taken from a socket", False),
    ("B613", S, "high", 838, "characters that hide what the code does", False),
    ("B614", S, "medium", 502, "a model file that may run code", False),
    ("B615", S, "medium", 494, "a download without a fixed revision", False),
    ("B701", S, "high", 94, "templates without escaping", False),
    ("B702", S, "medium", 80, "templates without escaping", False),
    ("B703", S, "medium", 80, "HTML marked safe", False),
    ("B704", S, "medium", 79, "HTML marked safe", False),
    ("B*", S, "medium", None, "a security check of bandit's", False),
)  # fmt: skip
"""Severity: the most that bandit gives the rule; it grades each result itself, and its own
weakness number goes before this one."""

_SECRETS: tuple[Row, ...] = (
    ("PrivateKeyDetector", S, "high", 321, "a private key", False),
    ("KeywordDetector", S, "medium", 798, "a secret by its name", False),
    ("BasicAuthDetector", S, "high", 798, "a password in an address", False),
    ("JwtTokenDetector", S, "medium", 798, "a JSON web token", False),
    ("AWSKeyDetector", S, "high", 798, "a key of AWS", False),
    ("AzureStorageKeyDetector", S, "high", 798, "a key of Azure", False),
    ("ArtifactoryDetector", S, "high", 798, "a key of Artifactory", False),
    ("CloudantDetector", S, "high", 798, "a key of Cloudant", False),
    ("DiscordBotTokenDetector", S, "high", 798, "a token of Discord", False),
    ("GitHubTokenDetector", S, "high", 798, "a token of GitHub", False),
    ("GitLabTokenDetector", S, "high", 798, "a token of GitLab", False),
    ("IbmCloudIamDetector", S, "high", 798, "a key of IBM Cloud", False),
    ("IbmCosHmacDetector", S, "high", 798, "a key of IBM Cloud", False),
    ("MailchimpDetector", S, "high", 798, "a key of Mailchimp", False),
    ("NpmDetector", S, "high", 798, "a token of npm", False),
    ("OpenAIDetector", S, "high", 798, "a key of OpenAI", False),
    ("PypiTokenDetector", S, "high", 798, "a token of PyPI", False),
    ("SendGridDetector", S, "high", 798, "a key of SendGrid", False),
    ("SlackDetector", S, "high", 798, "a token of Slack", False),
    ("SoftlayerDetector", S, "high", 798, "a key of SoftLayer", False),
    ("SquareOAuthDetector", S, "high", 798, "a secret of Square", False),
    ("StripeDetector", S, "high", 798, "a key of Stripe", False),
    ("TelegramBotTokenDetector", S, "high", 798, "a token of Telegram", False),
    ("TwilioKeyDetector", S, "high", 798, "a key of Twilio", False),
)  # fmt: skip

_COMPLEXITY: tuple[Row, ...] = (
    (COMPLEXITY, M, "low", 1120, "a function that is hard to follow", False),
)

_DEAD: tuple[Row, ...] = (
    (UNREACHABLE, M, "low", 561, "code that can never run", False),
    ("unused-function", M, "info", 561, "a function that nothing uses", False),
    ("unused-class", M, "info", 561, "a class that nothing uses", False),
    ("unused-method", M, "info", 561, "a method that nothing uses", False),
    ("unused-property", M, "info", 561, "a property that nothing uses", False),
)


class Rule(msgspec.Struct, frozen=True):
    """What one rule of one tool is about."""

    tool: str
    rule: str
    focus: Focus
    severity: Severity
    """What a finding of it weighs, and the most where the tool grades each."""
    cwe: int | None
    title: str
    """A few words, without a full stop."""
    fixable: bool
    """Ruff has a fix that it calls safe, and the coder may make it."""
    known: bool = True
    """False: no row of the table names it, and the rest is only assumed."""


def rows_of(tool: str) -> tuple[Row, ...]:
    """All rows of one tool, in the order in which they are tried."""
    if tool == "ruff":
        return ruff_rows()
    others = {
        "bandit": _BANDIT,
        "detect-secrets": _SECRETS,
        "complexipy": _COMPLEXITY,
        "vulture": _DEAD,
    }
    return others.get(tool, ())


@lru_cache(4096)
def rule_of(tool: str, rule: str) -> Rule:
    """What the table says of a rule; of one that it does not have, that it is `known=False`."""
    for pattern, focus, severity, cwe, title, fixable in rows_of(tool):
        if pattern == rule or fnmatchcase(rule, pattern):
            return Rule(tool, rule, focus, severity, cwe, title, fixable)
    return Rule(tool, rule, M, "low", None, rule, False, known=False)


def fixable_rules() -> tuple[str, ...]:
    """The rules of ruff's whose fix is safe, sorted."""
    return tuple(sorted(row[0] for row in ruff_rows() if row[5]))
