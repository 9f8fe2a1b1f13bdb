"""Single constructs of the language; the experiment puts each into a tight loop and also writes it out many times."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType, ModuleType

CONSTRUCTS = (
    "plain(1)",
    "plain(a=1)",
    "plain(*args)",
    "plain(1, **kwargs)",
    "base.method(1)",
    "base.method(key=1)",
    "base.method(*args)",
    "base.method(**kwargs)",
    "base.items(*args)",
    "base.later(*args).close()",
    "Base.make(*args)",
    "Base.static(*args)",
    "numbers(1)",
    "numbers(*one)",
    "base(1)",
    "base(key=1)",
    "base(*args)",
    "Base(1)",
    "Base(1, scale=2)",
    "Base(*one)",
    "Derived(1)",
    "Empty()",
    "Empty(*())",
    "len(args)",
    "isinstance(base, Base)",
    "str(1)",
    "int('1')",
    "dict(a=1)",
    "try: float('x')\n  except ValueError: pass",
    "dict(**kwargs)",
    "max(1, 2)",
    "max(*args)",
    "sorted(args, key=abs)",
    "sorted(args, key=lambda item: item)",
    "numerals.append(1); numerals.pop()",
    "numerals.count(1)",
    "lock.acquire(); lock.release()",
    "lock.acquire(blocking=True); lock.release()",
    "partial(2)",
    "partial(*args)",
    "partial_builtin(*args)",
    "method_of_builtin()",
    "method_of_builtin(*())",
    "next(numbers(1))",
    "for _ in numbers(2): pass",
    "for _ in args: pass",
    "for _ in base: pass",
    "[number for number in args]",
    "{number: number for number in args}",
    "sum(number for number in args)",
    "(lambda: 1)()",
    "with lock: pass",
    "with reentrant: pass",
    "with Guard(): pass",
    "with guard: pass",
    "with managed(1): pass",
    "with io.StringIO(): pass",
    "with lock, guard: len(args)",
    "while base.value: break",
    "base.doubled",
    "base + 1",
    "base[0]",
    "base.dynamic",
    "super(Derived, derived).method(1)",
    "super(Derived, derived).method(*one)",
    "super(Derived, derived).kind",
    "hash(base)",
    "args == (1,)",
    "f'{args}'",
    "f'{one[0]}'",
    "f'{base!r}'",
    "f'{base:}'",
    "f'{one[0]:>3}'",
    "f'{text}'",
    "'%s' % base",
    "'%r and %s' % (base, text)",
    "'%s' % text",
    "one[0] % 3",
    "b'%d' % one[0]",
    "text += 'a'; text = 'a'",
    "import os",
    "from os import path",
    "base.gone = 1; del base.gone",
    "assert base",
)


def make(source: str, workload: ModuleType, copies: int, looped: bool) -> Callable[..., object]:
    """Return a function with one construct, in a loop or written out ``copies`` times."""
    base = workload.Base(1)
    once = f"  {source}\n"
    body = f" for _ in limit:\n{once}" if looped else f" if limit:\n{once * copies}"
    text = f"def construct(limit, text='a'):\n{body} return text\n"
    space = vars(workload) | {
        "base": base,
        "derived": workload.Derived(1),
        "args": (1, 2),
        "one": (1,),
        "kwargs": {"key": 1},
        "numerals": [1, 2],
        "lock": workload.threading.Lock(),
        "reentrant": workload.threading.RLock(),
        "guard": workload.Guard(),
        "partial": workload.functools.partial(workload.plain, 1),
        "partial_builtin": workload.functools.partial(max, 1),
        "method_of_builtin": MethodType(len, "abc"),
    }
    exec(compile(text, f"<construct {source}>", "exec"), space)
    function = space["construct"]
    assert callable(function)
    return function
