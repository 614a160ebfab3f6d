"""The rows of ruff's rules in the rule table: those that a review selects, and no others.

Chosen for being likely faults that are seldom told in error. What is a matter of taste is left
out, and so is security, which is bandit's, but for what ruff alone sees.
"""

from functools import lru_cache

from visionflow.agents.evidence import Focus
from visionflow.agents.findings import Severity

S: Focus = "security"
P: Focus = "performance"
M: Focus = "maintainability"

Row = tuple[str, Focus, Severity, int | None, str, bool]
"""(pattern of rules, focus, severity, CWE, title, the coder may let ruff mend it)."""

_NAMES: tuple[Row, ...] = (
    ("F401", M, "low", 1164, "an import that nothing uses", True),
    ("F402", M, "low", None, "an import that a loop variable hides", False),
    ("F403", M, "low", None, "an import of everything", False),
    ("F404", M, "medium", None, "a future import that comes too late", False),
    ("F405", M, "info", None, "a name that may come from an import of everything", False),
    ("F406", M, "medium", None, "an import of everything inside a function", False),
    ("F407", M, "medium", None, "a future feature that does not exist", False),
    ("F811", M, "low", 1164, "a definition that is replaced unused", False),
    ("F821", M, "medium", None, "a name that is not defined", False),
    ("F822", M, "medium", None, "a name in __all__ that is not defined", False),
    ("F823", M, "medium", 457, "a local name that is read before it is set", False),
    ("F841", M, "low", 563, "a local variable that nothing reads", False),
    ("F842", M, "low", 563, "an annotated name that is never set", False),
    ("PLE0118", M, "medium", None, "a name read before its global statement", False),
    ("PLE060[45]", M, "medium", None, "an __all__ that does not hold", False),
    ("RUF068", M, "low", None, "a name that stands twice in __all__", True),
)

_FORMATS: tuple[Row, ...] = (
    ("F541", M, "info", None, "an f-string without a placeholder", True),
    ("F504", M, "medium", 628, "a value that its % format does not use", True),
    ("F522", M, "medium", 628, "a value that its format does not use", True),
    ("F523", M, "medium", 628, "a value that its format does not use", False),
    ("F50[1-9]", M, "medium", 628, "a % format that does not fit its values", False),
    ("F52[1-5]", M, "medium", 628, "a format that does not fit its values", False),
    ("PLE120[56]", M, "medium", 628, "a log message that does not fit its values", False),
    ("PLE130[07]", M, "medium", 628, "a % format that does not fit its values", False),
    ("PLE1310", M, "medium", None, "a strip of a set of characters, not of a word", False),
    ("B005", M, "low", None, "a strip of a set of characters, not of a word", False),
    ("W605", M, "low", None, "an escape sequence that does not exist", True),
)

_FLAWS: tuple[Row, ...] = (
    ("invalid-syntax", M, "high", None, "a file that does not parse", False),
    ("E902", M, "low", None, "a file that cannot be read", False),
    ("E711", M, "low", None, "a comparison with None by ==", False),
    ("E712", M, "info", None, "a comparison with True or False by ==", False),
    ("E713", M, "info", None, "a membership that is negated from outside", True),
    ("E714", M, "info", None, "an identity that is negated from outside", True),
    ("E721", M, "low", None, "types compared by ==", False),
    ("E722", M, "low", 396, "an except that catches everything", False),
    ("F601", M, "medium", None, "a key that stands twice in a dictionary", False),
    ("F602", M, "medium", None, "a key that stands twice in a dictionary", False),
    ("F62[12]", M, "medium", None, "too many starred values", False),
    ("F631", M, "medium", 571, "an assert of a tuple, which always holds", False),
    ("F632", M, "medium", 597, "a literal compared by identity", True),
    ("F633", M, "medium", None, "a print of Python 2", False),
    ("F634", M, "medium", 571, "a condition that is a tuple and always holds", False),
    ("F70?", M, "medium", None, "a statement where it cannot stand", False),
    ("F722", M, "medium", None, "an annotation that does not parse", False),
    ("F901", M, "medium", None, "NotImplemented raised instead of NotImplementedError", False),
    ("PLE2502", S, "high", 1007, "characters that hide what the code does", False),
    ("PLE25*", S, "low", 1007, "a character that cannot be seen", False),
    ("PLE*", M, "medium", None, "an error that pylint knows", False),
    ("PLW0127", M, "low", 563, "a variable assigned to itself", False),
    ("PLW0128", M, "low", 563, "a name set twice in one assignment", False),
    ("PLW0129", M, "medium", 571, "an assert of text, which always holds", False),
    ("PLW0131", M, "low", None, "a named expression without a context", False),
    ("PLW0133", M, "medium", 390, "an exception that is made and not raised", False),
    ("PLW0177", M, "medium", None, "a comparison with NaN, which never holds", False),
    ("PLW0245", M, "medium", None, "super without its call", False),
    ("PLW0406", M, "low", 1047, "a module that imports itself", False),
    ("PLW0711", M, "medium", None, "an except of `A or B`, which catches only A", False),
    ("PLW1501", M, "medium", None, "a mode of open that does not exist", False),
    ("PLW1507", M, "medium", None, "a copy of the environment that is none", False),
    ("PLW1508", M, "low", None, "a default of an environment variable that is no text", False),
    ("PLW2101", M, "medium", 667, "a lock that protects nothing", False),
    ("PLR0124", M, "medium", 697, "a value compared with itself", False),
    ("PLR0133", M, "low", 697, "two constants compared", False),
    ("PLR1704", M, "info", None, "an argument that is assigned over", False),
    ("TRY203", M, "info", None, "an except that only raises again", False),
    ("T100", S, "medium", 489, "a debugger left in the code", False),
    ("YTT*", M, "medium", None, "a version of Python compared wrongly", False),
    ("PGH005", M, "low", None, "a check of a mock that checks nothing", False),
    ("PIE794", M, "low", None, "a field that is defined twice", False),
    ("PIE796", M, "low", None, "two names of an enum with one value", False),
    ("SIM115", M, "low", 772, "a file that is not sure to be closed", False),
    ("SIM22[03]", M, "low", 570, "a condition that never holds", False),
    ("SIM22[12]", M, "low", 571, "a condition that always holds", False),
    ("LOG00[27]", M, "low", None, "a log call that does not do what it says", False),
    ("LOG009", M, "info", None, "a log level that is not documented", True),
    ("LOG014", M, "low", None, "an exception logged where there is none", False),
)

_BUGS: tuple[Row, ...] = (
    ("B002", M, "medium", None, "++ or --, which do nothing", False),
    ("B003", M, "medium", None, "a replaced environment that nobody sees", False),
    ("B004", M, "low", None, "a check for __call__ that does not hold", False),
    ("B006", M, "medium", 665, "a default that all calls share", False),
    ("B007", M, "info", 563, "a loop variable that nothing reads", False),
    ("B008", M, "info", None, "a default that is computed once", False),
    ("B009", M, "info", None, "getattr with a fixed name", True),
    ("B010", M, "info", None, "setattr with a fixed name", True),
    ("B011", M, "low", None, "assert False, which optimised Python leaves out", False),
    ("B012", M, "medium", 584, "a jump out of finally that swallows exceptions", False),
    ("B013", M, "info", None, "a tuple of one exception", True),
    ("B014", M, "low", None, "an exception that stands twice", True),
    ("B015", M, "medium", 482, "a comparison whose result nobody uses", False),
    ("B016", M, "medium", None, "a raise of what is no exception", False),
    ("B017", M, "low", 396, "a test that any exception passes", False),
    ("B018", M, "medium", 1164, "an expression whose value nobody uses", False),
    ("B020", M, "medium", None, "a loop variable that replaces what is looped over", False),
    ("B021", M, "low", None, "an f-string in the place of a docstring", False),
    ("B022", M, "low", None, "a suppress of nothing", False),
    ("B023", M, "medium", None, "a function that sees the loop's last value", False),
    ("B024", M, "info", None, "an abstract class without an abstract method", False),
    ("B025", M, "medium", None, "an except that stands twice", False),
    ("B026", M, "low", None, "star arguments after a keyword", False),
    ("B027", M, "info", None, "an empty method of an abstract class", False),
    ("B028", M, "info", None, "a warning that names the wrong line", False),
    ("B029", M, "medium", None, "an except of nothing", False),
    ("B030", M, "medium", None, "an except of what is no exception", False),
    ("B031", M, "medium", None, "a group that is read twice", False),
    ("B032", M, "medium", None, "an annotation in the place of an assignment", False),
    ("B033", M, "low", None, "a value that stands twice in a set", True),
    ("B034", M, "low", 628, "a count and flags of re that are easily confused", False),
    ("B035", M, "medium", None, "a dictionary whose keys are all the same", False),
    ("B039", M, "medium", 665, "a default that all contexts share", False),
    ("B904", M, "info", None, "an exception raised without its cause", False),
    ("B9*", M, "info", None, "lengths that may differ unseen", False),
    ("RUF006", M, "medium", None, "a task that may vanish before it is done", False),
    ("RUF008", M, "medium", 665, "a default that all instances share", False),
    ("RUF009", M, "low", None, "a default that is computed once", False),
    ("RUF016", M, "medium", None, "an index that cannot be one", False),
    ("RUF018", M, "medium", None, "an assignment that optimised Python leaves out", False),
    ("RUF024", M, "medium", None, "a value that all keys share", False),
    ("RUF026", M, "medium", None, "a default factory that is none", False),
    ("RUF030", M, "low", None, "a print as the message of an assert", False),
    ("RUF032", M, "low", 1339, "a decimal made from a float", False),
    ("RUF033", M, "low", None, "a default of __post_init__ that has no effect", False),
    ("RUF034", M, "low", None, "a choice between two equal values", False),
    ("RUF040", M, "low", None, "a message of an assert that is no text", False),
    ("RUF048", M, "low", None, "a version split into numbers that may be none", False),
    ("RUF049", M, "medium", None, "an enum that is a dataclass", False),
    ("RUF060", M, "low", 570, "a search in what is empty", False),
    ("RUF064", S, "medium", 732, "file permissions that are not octal", False),
)

_SPEED: tuple[Row, ...] = (
    ("B019", P, "medium", 401, "a cache that keeps every instance alive", False),
    ("PERF101", P, "low", 1176, "a list made only to be looped over", True),
    ("PERF102", P, "low", 1176, "items of a dictionary of which half is dropped", False),
    ("PERF203", P, "info", 1176, "a try inside a loop", False),
    ("PERF401", P, "low", 1176, "a list filled item by item", False),
    ("PERF402", P, "low", 1176, "a list copied item by item", False),
    ("PERF403", P, "low", 1176, "a dictionary filled item by item", False),
    ("C40[0-4]", P, "info", 1176, "a sequence made only to be turned into another", False),
    ("C409", P, "info", 1176, "a literal made only to be turned into a tuple", False),
    ("C41[01]", P, "info", 1176, "a list made of a list", False),
    ("C413", P, "info", 1176, "a sorted list that is made anew", True),
    ("C414", P, "low", 1176, "a conversion that the next one undoes", False),
    ("C415", P, "low", None, "a reversal that has no effect", False),
    ("C416", P, "info", 1176, "a comprehension that only copies", False),
    ("C417", P, "info", 1176, "a map of a lambda", False),
    ("C419", P, "low", 1176, "a list that keeps any and all from ending early", False),
    ("RUF015", P, "low", 1176, "a list made only for its first item", False),
    ("RUF017", P, "medium", 407, "lists added up, which takes quadratic time", False),
    ("RUF019", P, "info", 1176, "a key looked up twice", True),
    ("RUF051", P, "info", 1176, "a key looked up before it is deleted", True),
    ("SIM118", P, "info", 1176, "keys() where the dictionary would do", False),
    ("SIM401", P, "info", 1176, "a key looked up twice", False),
    ("PLR1714", P, "info", 1176, "a value compared again and again", False),
    ("PLR1733", P, "low", 1176, "a value of a dictionary looked up in its own loop", True),
    ("PLR1736", P, "low", 1176, "an item of a list looked up in its own loop", True),
    ("PLW3301", P, "info", 1176, "a min of a min", False),
    ("PIE810", P, "info", 1176, "startswith asked again and again", False),
    ("ASYNC110", P, "medium", None, "a loop that waits by sleeping", False),
    ("ASYNC21[02]", P, "medium", None, "a request that stops the whole event loop", False),
    ("ASYNC22[0-2]", P, "medium", None, "a process that stops the whole event loop", False),
    ("ASYNC230", P, "low", None, "an open that stops the whole event loop", False),
    ("ASYNC25[01]", P, "medium", None, "a wait that stops the whole event loop", False),
)

SELECT: tuple[str, ...] = (
    "E902", "E711", "E712", "E713", "E714", "E721", "E722", "W605", "F", "B", "PLE",
    "PLW0127", "PLW0128", "PLW0129", "PLW0131", "PLW0133", "PLW0177", "PLW0245", "PLW0406",
    "PLW0711", "PLW1501", "PLW1507", "PLW1508", "PLW2101", "PLR0124", "PLR0133", "PLR1704",
    "PLR1714", "PLR1733", "PLR1736", "PLW3301", "TRY203", "T100", "YTT", "PGH005",
    "PIE794", "PIE796", "PIE810", "SIM115", "SIM118", "SIM220", "SIM221", "SIM222", "SIM223",
    "SIM401", "LOG002", "LOG007", "LOG009", "LOG014", "PERF",
    "C400", "C401", "C402", "C403", "C404", "C409", "C410", "C411", "C413", "C414", "C415",
    "C416", "C417", "C419",
    "ASYNC110", "ASYNC210", "ASYNC212", "ASYNC220", "ASYNC221", "ASYNC222", "ASYNC230",
    "ASYNC250", "ASYNC251",
    "RUF006", "RUF008", "RUF009", "RUF015", "RUF016", "RUF017", "RUF018", "RUF019", "RUF024",
    "RUF026", "RUF030", "RUF032", "RUF033", "RUF034", "RUF040", "RUF048", "RUF049", "RUF051",
    "RUF060", "RUF064", "RUF068",
)  # fmt: skip
"""What ruff is asked to look for; each rule of it has a row."""


@lru_cache(1)
def ruff_rows() -> tuple[Row, ...]:
    """All rows, in the order in which they are tried."""
    return (*_NAMES, *_FORMATS, *_FLAWS, *_BUGS, *_SPEED)
