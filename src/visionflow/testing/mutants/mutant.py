"""What a mutant is; how it is tried stands in `trial`."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A planted fault.

    `before` is found exactly once in `file`, which is relative to the package. `check` is the id
    of a pytest test, relative to the repository, that passes without the fault and fails with it.
    """

    name: str
    file: str
    before: str
    after: str
    check: str
