"""A full-text index of lines: code, documents and commit messages, in one SQLite file (FTS5).

Built anew in a folder of ours, and bounded. Words are matched by their stem; `camelCase` and
`snake_case` are found by their parts. The order of answers is the index's own (BM25), but a line
that defines what is asked for comes before one that uses it, and tests come last.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from visionflow.agents.evidence import Answer, Citation
from visionflow.agents.findings import portable_path
from visionflow.agents.study.history import Message
from visionflow.agents.study.terms import phrase, split_humps
from visionflow.agents.tools.hiding import shown_line
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX, is_test_path

if TYPE_CHECKING:
    import apsw

Source = Literal["code", "docs", "log"]
SOURCES: tuple[Source, ...] = ("code", "docs", "log")
DOCUMENTS = (".md", ".rst", ".txt", ".adoc", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".json")
DOCUMENT_BYTES_MAX = 500_000
LINES_MAX = 400_000
LINE_CHARACTERS_MAX = 1_000
LOG_PATH = "git log"
_CANDIDATES = 300
_OF_ONE_PATH = 2
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE places (id INTEGER PRIMARY KEY, path TEXT, line INTEGER, source TEXT, note TEXT,
    text TEXT);
CREATE VIRTUAL TABLE lines USING fts5(text, parts, content='', columnsize=1,
    tokenize="porter unicode61 remove_diacritics 2");
"""
_HUMPED = re.compile(r"[a-z0-9][A-Z]")
_PROSE = (".md", ".rst", ".adoc", ".txt")
_LONE_WORD = re.compile(r"[\W_]*\w+\W*$")
"""Of a list of names: it matches well, because it is short, and says nothing."""
_IMPORT = re.compile(r"\s*(?:from\s+\S+\s+import|import)\s")


class Size(msgspec.Struct, frozen=True):
    """What an index holds."""

    code: int
    """Files."""
    docs: int
    log: int
    """Commits."""
    left_out: tuple[tuple[str, str], ...]
    """(path, why) of documents and code that are not in it."""


class _Row(msgspec.Struct, frozen=True):
    id: int
    path: str
    line: int
    source: Source
    note: str
    text: str


class TextIndex:
    """An index of one worktree. Use it in one thread, and close it."""

    def __init__(self, file: Path, definitions: Mapping[tuple[str, int], str]) -> None:
        """Begin an empty index in `file`. `definitions`: the name defined at (path, line)."""
        import apsw

        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        self._database: apsw.Connection = apsw.Connection(str(file))
        self._database.execute(_SCHEMA).fetchall()
        self._definitions = definitions
        self._lines = 0

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def fill(
        self,
        worktree: str,
        code: Iterable[str],
        documents: Iterable[str],
        messages: Sequence[Message],
    ) -> Size:
        """Read and index everything; files are relative to `worktree`."""
        left: list[tuple[str, str]] = []
        self._database.execute("BEGIN")
        read = self._files(worktree, code, "code", FILE_BYTES_MAX, left)
        docs = self._files(worktree, documents, "docs", DOCUMENT_BYTES_MAX, left)
        log = self._messages(messages)
        self._database.execute("COMMIT")
        return Size(read, docs, log, tuple(sorted(left)))

    def answer(
        self, terms: Sequence[str], depth: int, sources: Iterable[Source] = SOURCES
    ) -> Answer:
        """Lines with the term; of several terms those with at least two of them, those with most
        first. At most `depth` citations."""
        wanted = frozenset(sources)
        chosen: tuple[Source, ...] = tuple(each for each in SOURCES if each in wanted)
        query = " OR ".join(phrase(term) for term in terms)
        found = {row.id: row for row in self._rows(query, chosen)}
        if len(terms) == 1:
            matched = dict.fromkeys(found, 1)
            hits = self._count(query, chosen)
        else:
            shares = self._shares(terms, chosen)
            matched = {each: count for each, count in shares.items() if count > 1}
            hits = len(matched)
            more = sorted(matched, key=lambda each: (-matched[each], each))[:_CANDIDATES]
            found |= {row.id: row for row in self._by_id(more) if row.id not in found}
        order = {each: at for at, each in enumerate(found)}
        rows = [row for row in found.values() if row.id in matched]
        rows.sort(key=lambda row: (-matched[row.id], -self._weight(row, terms), order[row.id]))
        return Answer(tuple(terms), tuple(_cited(row) for row in _spread(rows, depth)), hits)

    def names(self, terms: Sequence[str], most: int) -> tuple[str, ...]:
        """Names of functions and classes that have a term in them, the best first."""
        query = " OR ".join(phrase(term) for term in terms)
        known = [term.lower() for term in terms]
        found: dict[str, str] = {}
        for row in self._rows(query, ("code",)):
            name = self._defined(row, terms)
            low = (name or "").strip("_").lower()
            # A term finds its own singular by the stem already.
            if name is None or is_test_path(row.path) or any(t.startswith(low) for t in known):
                continue
            found.setdefault(low, name)
        return tuple(found.values())[:most]

    def mentions(self, text: str) -> bool:
        """Whether some line of code has it, but for the one that declares it."""
        rows = self._database.execute(
            "SELECT 1 FROM lines JOIN places ON places.id = lines.rowid WHERE lines MATCH ? "
            "AND source = 'code' AND path != 'setup.py' LIMIT 1",
            (phrase(text),),
        )
        return bool(rows.fetchall())

    def _files(
        self,
        worktree: str,
        files: Iterable[str],
        source: Source,
        bytes_max: int,
        left: list[tuple[str, str]],
    ) -> int:
        count = 0
        for path in sorted(files, key=lambda path: (is_test_path(path), path)):
            if self._lines >= LINES_MAX:
                left.append((portable_path(path), f"the index ended at {LINES_MAX} lines"))
                continue
            content = read_plain(Path(worktree, path), bytes_max + 1)
            if content is None or len(content) > bytes_max:
                why = "no plain file" if content is None else f"larger than {bytes_max // 1000} kB"
                left.append((portable_path(path), f"not in the index: {why}"))
                continue
            count += 1
            lines = content.decode("utf-8", "replace").split("\n")
            self._add(portable_path(path), source, "", enumerate(lines, 1))
        return count

    def _messages(self, messages: Sequence[Message]) -> int:
        count = 0
        for message in messages:
            if self._lines >= LINES_MAX:
                break
            count += 1
            self._add(LOG_PATH, "log", message.commit, enumerate(message.lines, 1))
        return count

    def _add(self, path: str, source: Source, note: str, lines: Iterable[tuple[int, str]]) -> None:
        places: list[tuple[int, str, int, str, str, str]] = []
        texts: list[tuple[int, str, str]] = []
        for number, line in lines:
            text = line[:LINE_CHARACTERS_MAX].strip()
            if len(text) < 3:
                continue
            self._lines += 1
            places.append((self._lines, path, number, source, note, text))
            parts = split_humps(text) if _HUMPED.search(text) else ""
            texts.append((self._lines, text, parts))
        insert = self._database.executemany
        insert("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)", places)
        insert("INSERT INTO lines (rowid, text, parts) VALUES (?, ?, ?)", texts)

    def _rows(self, query: str, sources: tuple[Source, ...]) -> Iterator[_Row]:
        """The best rows of each source."""
        for source in sources:
            rows = self._database.execute(
                "SELECT id, path, line, source, note, places.text FROM lines "
                "JOIN places ON places.id = lines.rowid WHERE lines MATCH ? AND source = ? "
                "ORDER BY bm25(lines), id LIMIT ?",
                (query, source, _CANDIDATES),
            )
            yield from _typed(rows)

    def _by_id(self, ids: Iterable[int]) -> Iterator[_Row]:
        for each in ids:
            yield from _typed(
                self._database.execute(
                    "SELECT id, path, line, source, note, text FROM places WHERE id = ?", (each,)
                )
            )

    def _shares(self, terms: Sequence[str], sources: tuple[Source, ...]) -> dict[int, int]:
        """Of each row that has some of the terms, how many."""
        counts: dict[int, int] = {}
        for term in terms:
            for (each,) in self._matching("lines.rowid", phrase(term), sources):
                counts[each] = counts.get(each, 0) + 1
        return counts

    def _count(self, query: str, sources: tuple[Source, ...]) -> int:
        return next((count for (count,) in self._matching("count(*)", query, sources)), 0)

    def _matching(
        self, wanted: str, query: str, sources: tuple[Source, ...]
    ) -> Iterator[tuple[int]]:
        marks = ", ".join("?" * len(sources))
        rows = self._database.execute(
            f"SELECT {wanted} FROM lines JOIN places ON places.id = lines.rowid "
            f"WHERE lines MATCH ? AND source IN ({marks})",
            (query, *sources),
        )
        for (number,) in rows:
            assert isinstance(number, int)
            yield (number,)

    def _defined(self, row: _Row, terms: Sequence[str]) -> str | None:
        """The name that is defined on the row's line, where it has one of the terms in it."""
        whole = self._definitions.get((row.path, row.line))
        if whole is None:
            return None
        name = whole.rpartition(".")[2]
        flat = split_humps(name).replace("_", " ").lower().replace(" ", "")
        stems = (term.lower().replace("_", "").replace("-", "") for term in terms)
        return name if any(stem[: max(4, len(stem) - 3)] in flat for stem in stems) else None

    def _weight(self, row: _Row, terms: Sequence[str]) -> int:
        """How much the kind of line tells, beside its words."""
        if row.source == "log":
            return 1 if row.line == 1 else 0
        if is_test_path(row.path) or _IMPORT.match(row.text) or _LONE_WORD.match(row.text):
            return 0
        if row.source == "docs":
            told = row.path.lower().endswith(_PROSE)
            return 2 if told and row.text.startswith("#") else int(told)
        return 3 if self._defined(row, terms) is not None else 1


def _typed(rows: "apsw.Cursor") -> Iterator[_Row]:
    for values in rows:
        yield _Row(*msgspec.convert(values, tuple[int, str, int, Source, str, str]))


def _spread(rows: Sequence[_Row], depth: int) -> list[_Row]:
    """The first rows, at most two of one file or commit, but at least the best of each source
    where there is room; in the order they came in."""
    firsts = {row.source: row.id for row in reversed(rows)}
    taken = set(firsts.values()) if len(firsts) <= depth else set[int]()
    uses: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.id in taken:
            uses[row.path, row.note] = uses.get((row.path, row.note), 0) + 1
    for row in rows:
        if len(taken) >= depth:
            break
        place = (row.path, row.note)
        if row.id not in taken and uses.get(place, 0) < _OF_ONE_PATH:
            uses[place] = uses.get(place, 0) + 1
            taken.add(row.id)
    return [row for row in rows if row.id in taken]


def _cited(row: _Row) -> Citation:
    return Citation(row.path, row.line, shown_line(row.text), row.source, row.note or None)
