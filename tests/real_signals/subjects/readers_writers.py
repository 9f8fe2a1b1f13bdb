"""readerwriterlock: locks are acquired one after the other, each before the code that would release it begins."""

from readerwriterlock import rwlock

INCLUDE = ["readerwriterlock"]
LOCK = rwlock.RWLockFair()


def body(place: str) -> None:
    """Write, then read."""
    with LOCK.gen_wlock():
        pass
    with LOCK.gen_rlock():
        pass


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return [name for name in ("c_lock_read_count", "c_lock_read", "c_lock_write") if getattr(LOCK, name).locked()]


def repair(place: str) -> None:
    """Take away what is left behind."""
    for name in left(place):
        getattr(LOCK, name).release()
    LOCK.v_read_count = 0
