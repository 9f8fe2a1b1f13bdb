"""Values of tests and options as text, to be compared with those of another session."""

from __future__ import annotations

from types import FunctionType

from pytest_maskcheck.system.plain import plain, type_name


def as_text(value: object) -> str:
    """Return a value as text, without running its code: plain data as it is, functions and classes by name, others by their type."""
    try:
        return repr(plain(value))
    except ValueError:
        pass
    if type(value) in {list, tuple, set, frozenset}:
        items = map(as_text, value)  # type: ignore[call-overload]  # one of these
        return f"{type(value).__name__}({', '.join(items if type(value) in {list, tuple} else sorted(items))})"
    if type(value) is dict:
        return f"dict({', '.join(f'{as_text(key)}: {as_text(item)}' for key, item in value.items())})"
    if type(value) is FunctionType or type(value) is type:
        return f"{value.__module__}.{value.__qualname__}"
    if type(value) is bytes:
        return repr(value)
    return f"<{type_name(value)}>"
