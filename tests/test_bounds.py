"""How many points are audited: deep trees of calls, samples, and the time budget."""

from __future__ import annotations

import pytest

TREE = """
    import pytest

    def leaf():
        len("x")

    def go(path):
        if not path:
            leaf()
        elif path[0] == "a":
            go(path[1:])
        else:
            go(path[1:])

    @pytest.mark.interrupt_safe(hits=1)
    def test_it():
        for path in {paths}:
            go(path)
    """


@pytest.mark.parametrize(("paths", "contexts"), [(["aaaaaaab", "babababb", "bbbbbbbb"], 3), (["aaa", "bbb", "bab"], 3)])
def test_contexts_that_end_otherwise_are_audited(audit, paths, contexts):
    """The innermost calls decide."""
    assert on_leaf(audit(TREE.format(paths=paths)).audit) == contexts


def test_contexts_that_end_alike_are_not_repeated(audit):
    """However they begin: each of these paths is another context, and all end with the same calls."""
    paths = [f"{number:05b}".translate(str.maketrans("01", "ab")) + "abab" for number in range(32)]
    audited = audit(TREE.format(paths=paths)).audit
    assert on_leaf(audited) == 1
    assert audited.not_audited["further hit of a place in one calling context (hits=1)"] > 31


def on_leaf(audit):
    """Return how many points of the call in ``leaf`` there are."""
    return sum(point.function == "leaf" and point.kind == "call" for point in audit.points)


def test_a_hit_in_a_mask_is_not_taken_for_one_outside(audit):
    """A leak that only an unmasked call has is found with ``hits=1``, though the masked call comes first."""
    audited = audit(
        """
        import contextlib
        import threading
        import pytest
        from pytest_maskcheck.masking import mask

        LOCK = threading.Lock()

        def use(way):
            with way():
                LOCK.acquire()
                LOCK.release()

        @pytest.mark.interrupt_safe(hits=1)
        def test_it():
            for way in (mask, contextlib.nullcontext):
                use(way)
        """
    )
    assert [defect.kind for defect in audited.audit.failures] == ["lock"]
    calls = [point.hit for point in audited.audit.points if point.function == "use" and point.kind == "call"]
    assert {1, 2} <= set(calls)
