"""Joins a schema file with the files it imports, for those who send one text."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from schema.errors import Problem, SchemaSyntaxError
from schema.problems import quote
from schema.source import Span
from schema.zed.parse import parse_document
from schema.zed.syntax import FLAG_KEYWORDS, Document, ImportNode, UseNode
from schema.zed.tokens import tokenize

_MAX_FILES = 1000
_MAX_CHAIN = 50


def flatten_imports(path: str, read: Callable[[str], str]) -> str:
    """The text of the schema file `path` with all that it imports, directly or not, in its place.

    `read` gives the text of a path and raises OSError where it cannot; paths use `/`, and an import
    is relative to the folder of the file that it stands in. A file imported twice appears once.
    The `use` lines of all files come first. Raises SchemaSyntaxError, with `source` saying which
    file, for a file that does not parse or cannot be read, an absolute path, one with `..`, and
    imports in a circle.
    """
    flattening = _Flattening(read)
    flattening.visit(path, ())
    return flattening.text()


@dataclass(slots=True)
class _Flattening:
    read: Callable[[str], str]
    documents: dict[str, Document] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def visit(self, path: str, chain: tuple[str, ...]) -> None:
        """Parse the file `path`, reached over the files of `chain`, after those it imports."""
        text = self.read(path)
        document = parse_document(text)
        if len(document.problems):
            problems = document.problems.in_order()
            raise SchemaSyntaxError(tuple(replace(p, source=path) for p in problems), text)
        self.documents[path] = document
        for node in document.statements:
            if isinstance(node, ImportNode):
                self._import(node, path, (*chain, path))
        self.order.append(path)

    def _import(self, node: ImportNode, path: str, chain: tuple[str, ...]) -> None:
        parts = node.path.split("/")
        if not node.path or node.path.startswith("/") or ".." in parts or "\\" in node.path:
            message = f"{quote(node.path)} is not a path to a file in this folder or below it"
            raise self._refuse("import_path", message, path, node.span)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), node.path))
        if target in chain:
            way = " imports ".join(quote(step) for step in (*chain[chain.index(target) :], target))
            raise self._refuse("import_cycle", f"{way}: imports in a circle", path, node.span)
        if target in self.documents:
            return
        if len(self.documents) >= _MAX_FILES or len(chain) >= _MAX_CHAIN:
            message = f"more than {_MAX_FILES} files, or {_MAX_CHAIN} one inside the other"
            raise self._refuse("too_large", message, path, node.span)
        try:
            self.visit(target, chain)
        except OSError as error:
            reason = error.strerror or "no such file"
            message = f"{quote(node.path)} cannot be read: {reason}"
            raise self._refuse("import_unreadable", message, path, node.span) from error

    def _refuse(self, code: str, message: str, path: str, span: Span) -> SchemaSyntaxError:
        problem = Problem(code, message, span, source=path)
        return SchemaSyntaxError((problem,), self.documents[path].text)

    def text(self) -> str:
        """All files that were visited as one text."""
        flags = sorted(set().union(*(d.flags for d in self.documents.values())) - {"import"})
        for path in self.order:
            self._refuse_new_keywords(path, flags)
        parts = [f"use {flag}\n" for flag in flags]
        parts += ["\n"] if flags else []
        return "".join(parts) + "\n".join(self._own_text(path) for path in self.order)

    def _refuse_new_keywords(self, path: str, flags: list[str]) -> None:
        """A word that another file's `use` makes a keyword must not be a name in this file."""
        document = self.documents[path]
        foreign = {
            word: flag
            for flag in flags
            if flag not in document.flags
            for word in FLAG_KEYWORDS[flag]
        }
        for token in tokenize(document.text).tokens:
            if token.kind == "name" and token.text in foreign:
                flag = foreign[token.text]
                message = f"{quote(token.text)} is a keyword, since another file says `use {flag}`"
                span = document.lines.span(token.start, token.end)
                raise self._refuse("reserved_name", message, path, span)

    def _own_text(self, path: str) -> str:
        """The text of one file without its `use` and `import` statements."""
        document = self.documents[path]
        kept, position = [], 0
        for node in document.statements:
            if isinstance(node, UseNode | ImportNode):
                kept.append(document.text[position : node.span.start])
                position = node.span.end
        kept.append(document.text[position:])
        return "".join(kept).strip() + "\n"
