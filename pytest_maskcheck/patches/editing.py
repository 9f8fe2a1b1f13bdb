"""Edits of one file: finds the statement on a line, applies shapes to it, and imports what they use. Formatting is kept (LibCST)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, ImportItem
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from pytest_maskcheck.patches.shapes import SHAPES, Edit, masked

_MASKING = "pytest_maskcheck.masking"

_Block = cst.Module | cst.IndentedBlock


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new text of a file that may cure a defect.

    Parameters:
        title: what was done.
        text: the whole file, without the imports.
        imports: the primitives that it needs.
        is_mask: it masks signals over a stretch of code, one of several perhaps.
    """

    title: str
    text: str
    imports: tuple[str, ...]
    is_mask: bool = False

    @property
    def whole(self) -> str:
        """The whole file."""
        return with_imports(self.text, self.imports)


class Source:
    """The text of a file, and the statements on its lines.

    Parameters:
        text: the whole file.

    Raises:
        ValueError: it is no Python.
    """

    def __init__(self, text: str) -> None:
        try:
            wrapper = MetadataWrapper(cst.parse_module(text))
        except cst.ParserSyntaxError as error:
            raise ValueError(str(error)) from None
        self._module = wrapper.module
        positions = wrapper.resolve(PositionProvider)
        self._ranges: dict[cst.CSTNode, CodeRange] = {
            node: place
            for node, place in positions.items()
            if isinstance(node, cst.BaseStatement) and isinstance(place, CodeRange)
        }
        self._handlers: dict[int, list[cst.ExceptHandler]] = {}
        for node, place in positions.items():
            if isinstance(node, cst.ExceptHandler) and isinstance(place, CodeRange):
                self._handlers.setdefault(place.start.line, []).append(node)
        self._blocks: list[_Block] = [node for node in positions if isinstance(node, (cst.Module, cst.IndentedBlock))]

    def candidates(self, line: int) -> Iterator[Candidate]:
        """Yield the edits of what is acquired on a line, by each shape that fits."""
        found = self._find(line, line)
        if found is not None:
            block, position, _ = found
            for shape in SHAPES:
                for edit in shape(block.body, position):
                    yield self._apply(block, position, edit)

    def narrowed(self, line: int) -> Iterator[Candidate]:
        """Yield the edit of the ``except`` clause on a line that lets interrupts pass."""
        for handler in self._handlers.get(line, ()):
            caught = handler.type
            if caught is None or (isinstance(caught, cst.Name) and caught.value == "BaseException"):
                space = handler.whitespace_after_except if caught is not None else cst.SimpleWhitespace(" ")
                new = handler.with_changes(type=cst.Name("Exception"), whitespace_after_except=space)
                module = self._module.deep_replace(handler, new)
                assert isinstance(module, cst.Module)
                yield Candidate("catch `Exception`, which interrupts are not", module.code, ())

    def masked(self, first: int, last: int | None) -> Iterator[Candidate]:
        """Yield the edits that mask signals from one line to another, or (``None``) to the end of the function.

        The second one begins a statement earlier: ``sys.stdin = None`` has no place where an interrupt can arrive, and the one that follows
        is the first to lead into the defect.
        """
        found = self._find(first, last or self._end(first))
        if found is not None:
            block, start, end = found
            for position in range(start, max(start - 2, -1), -1):
                for edit in masked(block.body, position, end):
                    yield self._apply(block, position, edit)

    def _end(self, line: int) -> int:
        """Return the last line of the innermost function around a line; of the file, if there is none."""
        around = [
            span.end.line
            for statement, span in self._ranges.items()
            if isinstance(statement, cst.FunctionDef) and span.start.line <= line <= span.end.line
        ]
        return min(around or [max(span.end.line for span in self._ranges.values())])

    def _find(self, first: int, last: int) -> tuple[_Block, int, int] | None:
        """Return the innermost block with statements that cover these lines, and the positions of the first and last of them."""
        best: tuple[int, _Block, int, int] | None = None
        for block in self._blocks:
            spans = [self._ranges.get(statement) for statement in block.body]
            covering = [
                number
                for number, span in enumerate(spans)
                if span and span.start.line <= last and first <= span.end.line
            ]
            if not covering:
                continue
            start, end = spans[covering[0]], spans[covering[-1]]
            assert start is not None
            assert end is not None
            if start.start.line <= first and last <= end.end.line:
                size = end.end.line - start.start.line
                if best is None or size <= best[0]:  # of equal ones the later, which is the inner one
                    best = (size, block, covering[0], covering[-1])
        return best and best[1:]

    def _apply(self, block: _Block, position: int, edit: Edit) -> Candidate:
        body = [*block.body[:position], edit.made, *block.body[position + edit.replaces :]]
        changed = self._module.deep_replace(block, block.with_changes(body=body)) if block is not self._module else None
        module = changed if isinstance(changed, cst.Module) else self._module.with_changes(body=body)
        return Candidate(edit.title, module.code, edit.imports, "mask" in edit.imports)


def with_imports(text: str, names: Iterable[str]) -> str:
    """Return the text of a file that imports these primitives, besides what it imports already."""
    wanted = [ImportItem(_MASKING, name) for name in sorted(set(names))]
    if not wanted:
        return text
    module = cst.parse_module(text)
    return AddImportsVisitor(CodemodContext(), wanted).transform_module(module).code
