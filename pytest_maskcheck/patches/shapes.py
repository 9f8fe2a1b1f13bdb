"""The shapes of code for which an edit is known: what acquires and what releases stand in one block.

A shape gets the statements of a block and the position of the one that acquires. It yields the ``with`` statements that may take the place of
acquisition, use and release, with the number of statements that each replaces; none if the code has another shape. Whether an edit cures the
defect is not decided here: it is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst import matchers

Statements = Sequence[cst.BaseStatement]


@dataclass(frozen=True, slots=True)
class Edit:
    """The edit of a block.

    Parameters:
        title: what is done, in a few words.
        made: the statement that is put there.
        replaces: how many statements it takes the place of.
        imports: the primitives of :mod:`pytest_maskcheck.masking` that it uses.
    """

    title: str
    made: cst.BaseStatement
    replaces: int
    imports: tuple[str, ...] = ()


Shape = Callable[[Statements, int], Iterator[Edit]]


# Parts of statements


def _expression(statement: cst.BaseStatement) -> cst.BaseExpression | None:
    """Return the expression that is all of a statement."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    small = statement.body[0]
    return small.value if isinstance(small, cst.Expr) else None


def _assigned(statement: cst.BaseStatement) -> tuple[cst.Name, cst.Call] | None:
    """Return name and call of ``name = call(...)``."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    small = statement.body[0]
    if not isinstance(small, cst.Assign) or len(small.targets) != 1:
        return None
    target, value = small.targets[0].target, small.value
    return (target, value) if isinstance(target, cst.Name) and isinstance(value, cst.Call) else None


def _method(expression: cst.BaseExpression | None, *names: str) -> cst.BaseExpression | None:
    """Return the object whose method of one of these names an expression calls without arguments."""
    if not isinstance(expression, cst.Call) or expression.args or not isinstance(expression.func, cst.Attribute):
        return None
    return expression.func.value if expression.func.attr.value in names else None


def _releasing(expression: cst.BaseExpression | None, name: cst.Name) -> cst.BaseExpression | None:
    """Return the function that an expression calls with the variable as its only argument."""
    if not isinstance(expression, cst.Call) or len(expression.args) != 1:
        return None
    (argument,) = expression.args
    plain = argument.keyword is None and not argument.star
    return expression.func if plain and argument.value.deep_equals(name) else None


@dataclass(frozen=True, slots=True)
class _Use:
    """What stands between acquisition and release.

    Parameters:
        body: these statements.
        release: the expression that releases.
        replaces: the number of statements from the acquisition to the release.
    """

    body: Statements
    release: cst.BaseExpression
    replaces: int


def _uses(
    statements: Statements, position: int, is_release: Callable[[cst.BaseExpression | None], bool]
) -> Iterator[_Use]:
    """Yield the possible uses: released alone in the ``finally`` of the next statement, or by a later statement of the block, the last first.

    None has a second release in its body, such as one before an early ``return``: what is left by a ``with`` statement is released there, too.
    """
    following = statements[position + 1 :]
    if following and isinstance(following[0], cst.Try) and (last := following[0].finalbody) is not None:
        released = _only(last.body)
        if released is not None and is_release(released):
            body = _without_finally(following[0])
            if not _has(body, released):
                yield _Use(body, released, 2)
            return
    for number, statement in reversed([*enumerate(following)]):
        released = _expression(statement)
        if released is not None and is_release(released) and not _has(following[:number], released):
            yield _Use(following[:number], released, number + 2)


def _has(statements: Statements, release: cst.BaseExpression) -> bool:
    """Return whether the same release is in one of these statements, at any depth."""
    same = matchers.MatchIfTrue(release.deep_equals)
    return any(matchers.findall(statement, same) for statement in statements)


def _only(block: cst.BaseSuite) -> cst.BaseExpression | None:
    """Return the expression that is all of a block."""
    return _expression(block.body[0]) if isinstance(block, cst.IndentedBlock) and len(block.body) == 1 else None


def _without_finally(statement: cst.Try) -> Statements:
    if statement.handlers:
        return (statement.with_changes(finalbody=None),)
    return _of_body(statement.body)


def _of_body(body: cst.BaseSuite) -> Statements:
    if isinstance(body, cst.SimpleStatementSuite):  # all on one line
        return (cst.SimpleStatementLine(body.body),)
    return tuple(each for each in body.body if isinstance(each, cst.BaseStatement))


def _with(
    first: cst.BaseStatement,
    item: cst.BaseExpression,
    name: cst.Name | None,
    body: Statements,
    *,
    is_async: bool = False,
) -> cst.BaseStatement:
    """Return a ``with`` statement in the place of ``first``, whose comments it keeps."""
    suite = body or (cst.SimpleStatementLine([cst.Pass()]),)
    assert isinstance(first, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
    header = first.trailing_whitespace if isinstance(first, cst.SimpleStatementLine) else cst.TrailingWhitespace()
    return cst.With(
        [cst.WithItem(item, cst.AsName(name) if name is not None else None)],
        cst.IndentedBlock(suite, header=header),
        leading_lines=first.leading_lines,
        asynchronous=cst.Asynchronous() if is_async else None,
    )


def _call(function: str, *arguments: cst.BaseExpression, more: Sequence[cst.Arg] = ()) -> cst.Call:
    return cst.Call(cst.Name(function), [*map(cst.Arg, arguments), *more])


# Shapes


def lock(statements: Statements, position: int) -> Iterator[Edit]:
    """``lock.acquire()`` ... ``lock.release()``: ``with lock``; ``async with lock`` if it is awaited."""
    expression = _expression(statements[position])
    is_async = isinstance(expression, cst.Await)
    taken = _method(expression.expression if isinstance(expression, cst.Await) else expression, "acquire")
    if taken is None:
        return

    def releases(expression: cst.BaseExpression | None) -> bool:
        released = _method(expression, "release")
        return released is not None and released.deep_equals(taken)

    for use in _uses(statements, position, releases):
        made = _with(statements[position], taken, None, use.body, is_async=is_async)
        yield Edit(f"take the lock with `{'async with' if is_async else 'with'}`", made, use.replaces)
        if not is_async:  # its ``__enter__`` and ``__exit__`` may be Python code, which loses it
            for edit in inside([made], 0):
                yield Edit("take the lock with `with`, masked but in its body", edit.made, use.replaces, edit.imports)


def pair(statements: Statements, position: int) -> Iterator[Edit]:
    """``x = acquire(...)`` ... ``release(x)``: ``with bracket(acquire, release, ...) as x``."""
    assigned = _assigned(statements[position])
    if assigned is None:
        return
    name, call = assigned
    for use in _uses(statements, position, lambda expression: _releasing(expression, name) is not None):
        release = _releasing(use.release, name)
        assert release is not None
        made = _with(statements[position], _call("bracket", call.func, release, more=call.args), name, use.body)
        yield Edit("acquire and release it by `bracket`", made, use.replaces, ("bracket",))


_MASKS = {"bracket", "mask", "shield", "sigmask"}

_CLOSERS = ("close", "shutdown", "release", "cleanup", "terminate")
"""Methods that a context manager's ``__exit__`` is likely to call."""


def manager(statements: Statements, position: int) -> Iterator[Edit]:
    """``x = make(...)`` ... ``x.close()``: ``with shield(make, ...) as x``."""
    assigned = _assigned(statements[position])
    if assigned is None:
        return
    name, call = assigned

    def closes(expression: cst.BaseExpression | None) -> bool:
        closed = _method(expression, *_CLOSERS)
        return closed is not None and closed.deep_equals(name)

    for use in _uses(statements, position, closes):
        made = _with(statements[position], _call("shield", call.func, more=call.args), name, use.body)
        yield Edit("enter it with `shield`", made, use.replaces, ("shield",))


def entered(statements: Statements, position: int) -> Iterator[Edit]:
    """``with make(...) as x``: ``with shield(make, ...) as x``."""
    statement = statements[position]
    if not isinstance(statement, cst.With) or statement.asynchronous is not None:
        return
    items = [_shielded(item) for item in statement.items]
    if any(new is not old for new, old in zip(items, statement.items, strict=True)):
        yield Edit("enter it with `shield`", statement.with_changes(items=items), 1, ("shield",))


def _shielded(item: cst.WithItem) -> cst.WithItem:
    call = item.item
    if not isinstance(call, cst.Call) or _is_mask(item):
        return item
    return item.with_changes(item=_call("shield", call.func, more=call.args))


_NEAR = 3
"""The number of statements after an acquisition within which the ``try`` begins that releases."""


def guarded(statements: Statements, position: int) -> Iterator[Edit]:
    """Acquisition, ``try``, ``finally``: all of it masked but the body of the ``try``, in which signals are delivered."""
    for number, statement in enumerate(statements[position + 1 : position + 1 + _NEAR], position + 1):
        if isinstance(statement, cst.Try) and statement.finalbody is not None:
            group = statements[position : number + 1]
            if _yields(group):
                return
            name = _free("restore", group)
            made = _masking([*group[:-1], _restored(statement, name)], name)
            yield Edit("mask signals but in the body of the `try`", made, len(group), ("mask",))
            return


def inside(statements: Statements, position: int) -> Iterator[Edit]:
    """``with manager``: entered and left masked; in the body signals are delivered."""
    statement = statements[position]
    if not isinstance(statement, cst.With) or statement.asynchronous is not None or any(map(_is_mask, statement.items)):
        return
    if _yields([statement]):
        return
    name = _free("restore", [statement])
    made = _masking([_restored(statement, name)], name)
    yield Edit("mask signals but in the body of the `with`", made, 1, ("mask",))


def _restored(statement: cst.Try | cst.With, name: str) -> cst.Try | cst.With:
    """Return a statement in whose body signals are delivered; ``name`` is that of the mask's function."""
    inner = cst.With([cst.WithItem(_call(name))], cst.IndentedBlock(_of_body(statement.body)))
    header = statement.body.header if isinstance(statement.body, cst.IndentedBlock) else cst.TrailingWhitespace()
    return statement.with_changes(body=cst.IndentedBlock([inner], header=header))


def _yields(statements: Statements) -> bool:
    """Return whether one of these statements hands over to a caller or the event loop, whose code must not run masked.

    Functions within do not count.
    """
    finder = _Yields()
    for statement in statements:
        statement.visit(finder)
    return finder.found


class _Yields(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found = False

    def visit_Yield(self, _node: cst.Yield) -> None:  # noqa: N802  (a visitor of LibCST)
        self.found = True

    def visit_Await(self, _node: cst.Await) -> None:  # noqa: N802
        self.found = True

    def visit_Asynchronous(self, _node: cst.Asynchronous) -> None:  # noqa: N802  (``async with``, ``async for``)
        self.found = True

    def visit_FunctionDef(self, _node: cst.FunctionDef) -> bool:  # noqa: N802
        return False

    def visit_Lambda(self, _node: cst.Lambda) -> bool:  # noqa: N802
        return False


def _is_mask(item: cst.WithItem) -> bool:
    """Return whether an item of a ``with`` statement is a mask already."""
    call = item.item
    return isinstance(call, cst.Call) and isinstance(call.func, cst.Name) and call.func.value in _MASKS


def _free(name: str, statements: Statements) -> str:
    """Return a name that these statements do not use."""
    text = "".join(cst.Module([]).code_for_node(each) for each in statements)
    while name in text:
        name += "_"
    return name


SHAPES: tuple[Shape, ...] = (lock, pair, manager, entered, guarded, inside)
"""In the order in which they are tried."""


def masked(statements: Statements, first: int, last: int) -> Iterator[Edit]:
    """Yield the edit that masks signals from one statement to another of a block."""
    if _yields(statements[first : last + 1]):
        return
    made = _masking(statements[first : last + 1])
    yield Edit("mask signals from the first to the last of these lines", made, last - first + 1, ("mask",))


def _masking(statements: Statements, restore: str = "") -> cst.With:
    """Return a mask around statements; comments above them stay above it."""
    before, *others = statements
    assert isinstance(before, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
    item = cst.WithItem(_call("mask"), cst.AsName(cst.Name(restore)) if restore else None)
    group = cst.IndentedBlock([before.with_changes(leading_lines=()), *others])
    body = group if restore else _without_masks(group)
    return cst.With([item], body, leading_lines=before.leading_lines)


def _without_masks(block: cst.IndentedBlock) -> cst.IndentedBlock:
    """Return a block without the masks in it, as one around all of it does what they do."""
    changed = block.visit(_Unmasking())
    assert isinstance(changed, cst.IndentedBlock)
    return changed


class _Unmasking(cst.CSTTransformer):
    def leave_With(  # noqa: N802
        self,
        original_node: cst.With,  # noqa: ARG002
        updated_node: cst.With,
    ) -> cst.With | cst.FlattenSentinel[cst.BaseStatement]:
        if len(updated_node.items) > 1 or not updated_node.items[0].deep_equals(cst.WithItem(_call("mask"))):
            return updated_node
        body = _of_body(updated_node.body)
        first = body[0]
        assert isinstance(first, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
        lines = (*updated_node.leading_lines, *first.leading_lines)
        return cst.FlattenSentinel([first.with_changes(leading_lines=lines), *body[1:]])

    def visit_FunctionDef(self, _node: cst.FunctionDef) -> bool:  # noqa: N802  (it may be called elsewhere)
        return False
