"""Brings a change into the files of a workspace: all of it or nothing, whenever it is killed.

A journal is on the disk before the first file is touched, all new contents lie beside their places
before the first is moved, and each move is one rename. Who finds the journal either finishes (the
same call again) or takes back (any other): both are told from what the files hold, so it does not
matter where the killed one was. What the user edited in between is left and named.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from visionflow.domain.errors import Refused, WorkspaceError

from .journal import Journal, drop_journal, new_mark, write_journal
from .pieces import Piece, Standing, listed, pieces_of
from .placing import Moved, Obstacle, Sight, alike, clear, drop_empty, look, place, stage, stray
from .repository import PrivateRepository
from .scan import shown

State = Literal["to do", "done", "drifted"]
_MENDED = "Apply it again when that is mended."


async def fill(
    repository: PrivateRepository, source: Path, base: str, tip: str, killed: Journal | None
) -> bool:
    """Make the files what the change makes of them; `False` where they are so already.

    `killed`: the journal of the same call that was not finished.

    Raises:
        Refused: a file is not as the run found it; all such are named. Nothing was changed, or,
            after a killed call, everything but those.
        WorkspaceError: a file cannot be written; what was done was taken back, or the message
            tells that it was not.
    """
    pieces = await pieces_of(repository.path, base, tip)
    root = os.fsencode(source)
    before = dict(killed.touched) if killed is not None else {}
    if killed is not None:
        clear(root, before, killed.mark)
    states = states_of(root, pieces)
    drifted = [path for path, state in states.items() if state == "drifted"]
    earlier = [each for each in pieces if each.path in before and states[each.path] == "done"]
    if drifted and not earlier:
        drop_journal(repository)
        raise Refused(
            f"{listed(drifted)} changed since the run looked at it, so the patch was not applied.",
            hint="Nothing was changed. Run again, or bring the branch and merge it.",
        )
    to_do = tuple(piece for piece in pieces if states[piece.path] == "to do")
    for piece in earlier:
        if piece.after is None:
            drop_empty(root, piece.path.rpartition(b"/")[0])
    if to_do:
        journal = _journal(source, base, tip, to_do, before)
        drifted += _carry_out(repository, journal, to_do, earlier)
    drop_journal(repository)
    if drifted:
        raise Refused(
            f"{listed(drifted)} changed after an apply that was killed half way, and was left as "
            "it is; everything else of the change is there now.",
            hint=f"What it was to become: git -C {repository.path} diff {base} {tip}",
        )
    return bool(to_do or earlier)


async def take_back(repository: PrivateRepository, killed: Journal) -> str | None:
    """Undo what an apply that was killed half way did; what there is to tell of it.

    One that had done everything is left as it is.

    Raises:
        WorkspaceError: a file cannot be written; it can be tried again.
    """
    root, touched = os.fsencode(killed.source), dict(killed.touched)
    if not os.path.isdir(root):
        drop_journal(repository)
        return None
    pieces = [
        piece
        for piece in await pieces_of(repository.path, killed.base, killed.tip)
        if piece.path in touched
    ]
    clear(root, touched, killed.mark)
    _drop_made(root, pieces)
    states = states_of(root, pieces)
    told = None
    if {"to do", "done"} <= set(states.values()):
        done = [piece for piece in pieces if states[piece.path] == "done"]
        try:
            left = _go_back(root, done, killed)
        except OSError as error:
            raise WorkspaceError(
                f"An apply that was killed half way in {killed.source} cannot be taken back: "
                f"{error}.",
                hint=_MENDED,
            ) from error
        left += [path for path, state in states.items() if state == "drifted"]
        told = "An apply that was killed half way was taken back first" + (
            f"; {listed(sorted(left))} was changed since and left as it is." if left else "."
        )
    _drop_made(root, pieces)
    drop_journal(repository)
    return told


def states_of(root: bytes, pieces: Iterable[Piece]) -> dict[bytes, State]:
    """How each path stands: as the run found it, as the change has it, or otherwise.

    Raises:
        WorkspaceError: the folder cannot be read.
    """
    known = {piece.path: piece for piece in pieces}
    try:
        return {path: _state(root, piece, known) for path, piece in known.items()}
    except OSError as error:
        raise WorkspaceError(
            f"{shown(root)} cannot be read: {error.strerror or error}.",
            hint="Nothing was changed.",
        ) from error


def _state(root: bytes, piece: Piece, known: Mapping[bytes, Piece]) -> State:
    seen = look(root, piece.path)
    if isinstance(seen, Obstacle):
        if not _gives_way(root, piece, seen, known):
            return "drifted"
        seen = None
    if alike(seen, piece.after) and _mode_fits(seen, piece.after, piece):
        return "done"
    if alike(seen, piece.before) and _mode_fits(seen, piece.before, piece):
        return "to do"
    return "drifted"


def _gives_way(root: bytes, piece: Piece, obstacle: Obstacle, known: Mapping[bytes, Piece]) -> bool:
    """Whether what is in the way is itself a part of the change, so that it will go or came."""
    if obstacle.at != piece.path:
        return obstacle.at in known
    if not obstacle.folder:
        return False
    if piece.after is None:
        return True
    return piece.before is None and stray(root, piece.path, known) is None


def _mode_fits(seen: Sight, wanted: Standing | None, piece: Piece) -> bool:
    if not isinstance(seen, Standing) or wanted is None or wanted.link:
        return True
    return not piece.decides_mode or seen.executable == wanted.executable


def _journal(
    source: Path,
    base: str,
    tip: str,
    to_do: tuple[Piece, ...],
    before: Mapping[bytes, int | None],
) -> Journal:
    """`before`: what a killed one had touched already."""
    touched = dict(before)
    for piece in to_do:
        seen = look(os.fsencode(source), piece.path)
        touched[piece.path] = seen.mode if isinstance(seen, Standing) else None
    return Journal(
        new_mark(), "files", str(source), base, tip, touched=tuple(sorted(touched.items()))
    )


def _carry_out(
    repository: PrivateRepository, journal: Journal, to_do: tuple[Piece, ...], earlier: list[Piece]
) -> list[bytes]:
    """Do all of it, or go back to where it began; where a killed one did a part of it `earlier`,
    what cannot be done is left and returned."""
    root, done = os.fsencode(journal.source), list(earlier)
    try:
        write_journal(repository, journal)
        try:
            staged = stage(root, to_do, journal.mark)
            return place(root, to_do, staged, done, bool(earlier))
        finally:
            clear(root, dict(journal.touched), journal.mark)
    except (Moved, OSError) as error:
        kept = _undone(repository, journal, to_do, done)
        if isinstance(error, Moved):
            raise Refused(
                f"{shown(error.path)} changed while the patch was being applied. {kept}",
                hint="Apply it again.",
            ) from error
        raise WorkspaceError(
            f"A file of the patch cannot be written: {error}. {kept}", hint=_MENDED
        ) from error


def _undone(
    repository: PrivateRepository, journal: Journal, to_do: tuple[Piece, ...], done: list[Piece]
) -> str:
    """Go back after an error; what to say of it. The journal stays where that does not work."""
    root = os.fsencode(journal.source)
    _drop_made(root, to_do)
    try:
        left = _go_back(root, done, journal)
    except OSError as error:
        return f"What was done could not be taken back ({error}): the files are half changed."
    _drop_made(root, to_do)
    drop_journal(repository)
    if left:
        return f"What was done was taken back, but for {listed(left)}, which changed again."
    return "Nothing was changed."


def _go_back(root: bytes, done: list[Piece], journal: Journal) -> list[bytes]:
    """Bring back what these pieces replaced, as far as it can be; those where it cannot."""
    modes = dict(journal.touched)
    back = tuple(piece.back(modes.get(piece.path)) for piece in done)
    try:
        return place(root, back, stage(root, back, journal.mark), [], lenient=True)
    finally:
        clear(root, modes, journal.mark)


def _drop_made(root: bytes, pieces: Iterable[Piece]) -> None:
    """Remove folders that were made for files that are not to be; git knows no empty ones."""
    for piece in pieces:
        if piece.before is None:
            drop_empty(root, piece.path.rpartition(b"/")[0])
