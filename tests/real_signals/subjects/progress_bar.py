"""tqdm: its lock, shared by all bars, is taken and released by plain calls."""

import io

import tqdm

INCLUDE = ["tqdm"]
LOCK = tqdm.tqdm.get_lock()


def body(place: str) -> None:
    """Show a progress bar."""
    for _ in tqdm.tqdm(range(3), file=io.StringIO()):
        pass


def left(place: str) -> list[str]:
    """Return what is left behind."""
    return ["lock"] if any(lock._is_owned() for lock in LOCK.locks if hasattr(lock, "_is_owned")) else []


def repair(place: str) -> None:
    """Take away what is left behind."""
    for lock in LOCK.locks:
        while hasattr(lock, "_is_owned") and lock._is_owned():
            lock.release()
