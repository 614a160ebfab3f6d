"""Puts together what the researcher tells: answers with citations, entry points, dependencies.

Blocks while it builds the index; nothing here runs or parses foreign code.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from visionflow.agents.evidence import Answer, Place, Research, Todo
from visionflow.agents.findings import portable_path
from visionflow.agents.study.declared import Texts, declared_in
from visionflow.agents.study.dependencies import Compared, compare
from visionflow.agents.study.entries import entry_points_of
from visionflow.agents.study.facts import Facts, FileFacts
from visionflow.agents.study.graph import graph_of
from visionflow.agents.study.history import Message
from visionflow.agents.study.index import DOCUMENTS, Source, TextIndex
from visionflow.agents.study.terms import terms_of
from visionflow.agents.tools.hiding import shown_line
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.tree import regular_files

TODOS_MAX = 500
_MADE = re.compile(r"(?:^|/)[^/]+\.(?:egg|dist)-info/")
"""What builds write beside the source: lists of files, and documents once more."""


class Question(msgspec.Struct, frozen=True):
    """What is asked, and how far to look."""

    goal: str
    depth: int
    """Citations of an answer, and names that are followed to where they are used."""
    sources: tuple[Source, ...]
    """Where citations may come from."""
    beside: tuple[str, ...] = ()
    """Words of the goal, in lower case, that are not looked up."""


def look_up(
    project: Project,
    facts: Facts,
    messages: tuple[Message, ...],
    worktree: str,
    index_file: Path,
    question: Question,
) -> Research:
    """Everything that can be told of the worktree. The index is made anew in `index_file`.

    Raises:
        OSError: the worktree cannot be listed, or the index not be written.
    """
    files = regular_files(worktree)
    documents = [
        name for name in files if name.lower().endswith(DOCUMENTS) and not _MADE.search(name)
    ]
    index = TextIndex(index_file, _defined(facts.files))
    try:
        size = index.fill(worktree, project.tree.python, documents, messages)
        terms = terms_of(question.goal, question.beside)
        answers, completeness = _answers(index, terms, question)
        texts = Texts(worktree)
        graph = graph_of(project, facts.files)
        if facts.ended == "completed":
            declarations = declared_in(texts, files, facts.files.get("setup.py"))
            found = compare(project, graph, declarations, index.mentions)
        else:
            # What is imported is not known, so nothing can be held against it.
            why = f"No Python file was parsed, so imports are not known: {facts.reason}"
            found = Compared((), (), 0, 0, (why,))
    finally:
        index.close()
    not_read = {*facts.not_read, *project.tree.skipped, *size.left_out}
    if not terms:
        why = "beside what the tools tell" if question.beside else "that could be looked up"
        found = msgspec.structs.replace(found, notes=(f"The goal has no term {why}.", *found.notes))
    return Research(
        answers=answers,
        completeness=completeness,
        entry_points=entry_points_of(project, facts.files, graph.modules, texts),
        undeclared=found.undeclared,
        unused=found.unused,
        declared=found.declared,
        imported=found.imported,
        todos=_todos(facts.files),
        indexed={"code": size.code, "docs": size.docs, "commits": size.log},
        not_read=tuple(sorted((portable_path(path), why) for path, why in not_read)),
        notes=found.notes,
    )


def _answers(
    index: TextIndex, terms: tuple[str, ...], question: Question
) -> tuple[tuple[Answer, ...], float | None]:
    """All terms together, each by itself, and names in the code that have one in them."""
    if not terms:
        return (), None
    depth, sources = question.depth, question.sources
    each = [index.answer((term,), depth, sources) for term in terms]
    cited = sum(bool(answer.citations) for answer in each)
    together = [index.answer(terms, depth, sources)] if len(terms) > 1 else []
    names = index.names(terms, depth) if "code" in sources else ()
    followed = [index.answer((name,), depth, sources) for name in names]
    told = (*together, *each, *followed)
    answers = tuple(answer for answer in told if answer.citations or len(answer.terms) == 1)
    return answers, round(cited / len(terms), 4)


def _defined(files: Mapping[str, FileFacts]) -> dict[tuple[str, int], str]:
    return {
        (portable_path(path), each.line): each.name
        for path, facts in files.items()
        for each in facts.definitions
    }


def _todos(files: Mapping[str, FileFacts]) -> tuple[Todo, ...]:
    found = [
        Todo(each.word, shown_line(each.text), Place(portable_path(path), each.line))
        for path, facts in files.items()
        for each in facts.todos
    ]
    return tuple(sorted(found, key=lambda todo: (todo.place, todo.word))[:TODOS_MAX])
