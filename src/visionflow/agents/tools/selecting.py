"""Which of a project's tests are run: by file, by id, or by kind.

Only says which; pytest still collects as the project's settings tell it to, so a choice never adds
a test that a whole run would not have, and never changes their order. `testlog_plugin` carries the
choice out inside pytest.
"""

import os
from collections.abc import Iterable, Sequence

import msgspec

TEST_KINDS = ("unit", "integration", "e2e")
_KIND_FOLDERS = {
    "integration": ("integration", "integration_tests", "integrationtests"),
    "e2e": ("e2e", "e2e_tests", "end_to_end", "end2end"),
}
"""A test is of the kind of its mark (`@pytest.mark.integration`), else of a folder above it that
has one of these names, else `unit`."""
_NAMED_MAX = 10


class Choice(msgspec.Struct, frozen=True):
    """A choice among the tests that pytest collects, as the plugin reads it from JSON."""

    files: tuple[str, ...] | None = None
    """Test files; others are not even collected. `None`: all."""
    only: tuple[str, ...] | None = None
    """Ids; other tests are not run. `None`: all."""
    in_order: bool = False
    """What comes before the tests in `only`, within their files, is run as well."""
    left_out: tuple[str, ...] = ()
    """Kinds that are not run."""
    unittest: bool = False
    """Only test cases of `unittest` are run."""
    folders: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: _KIND_FOLDERS)

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        plain = self.files is None and self.only is None
        return not plain or bool(self.left_out) or self.unittest


class Chosen(msgspec.Struct, frozen=True):
    """A choice, and what a reader of the report should know of it."""

    choice: Choice
    notes: tuple[str, ...] = ()
    nothing: str | None = None
    """Why no test is left; `None` when there may be some."""


def choose_tests(
    worktree: str,
    selection: Sequence[str] | None,
    only: Sequence[str] | None = None,
    in_order: bool = False,
    kinds: Iterable[str] = TEST_KINDS,
    unittest: bool = False,
) -> Chosen:
    """The choice of these test files, ids and kinds. Files that are not there are noted."""
    left_out = tuple(kind for kind in TEST_KINDS if kind not in set(kinds))
    notes: list[str] = []
    if left_out:
        notes.append(f"left out by test_types: {', '.join(left_out)} tests")
    wanted = None if selection is None else tuple(sorted(set(selection)))
    files = wanted and tuple(path for path in wanted if _is_there(worktree, path))
    choice = Choice(
        files, None if only is None else tuple(sorted(set(only))), in_order, left_out, unittest
    )
    absent = [path for path in wanted or () if path not in (files or ())]
    if absent:
        more = f" and {len(absent) - _NAMED_MAX} more" if len(absent) > _NAMED_MAX else ""
        named = ", ".join(absent[:_NAMED_MAX])
        notes.append(f"test files that were asked for and are not there: {named}{more}")
    nothing = None
    if len(left_out) == len(TEST_KINDS):
        nothing = "test_types leaves out every kind of test"
    elif files is not None and not files:
        nothing = "none of the tests asked for is there" if wanted else "no tests were asked for"
    return Chosen(choice, tuple(notes), nothing)


def _is_there(worktree: str, path: str) -> bool:
    inside = not os.path.isabs(path) and ".." not in path.split("/")
    return inside and os.path.isfile(os.path.join(worktree, path))


def file_of(test: str) -> str:
    """The file of a test's id."""
    return test.partition("::")[0]
