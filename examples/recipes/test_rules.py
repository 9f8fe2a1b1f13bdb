"""Rules of thumb, each with code that breaks it.

Expected: ``test_clean_up_that_expects_too_much`` hides the interrupt behind an error of its own, as its ``finally`` releases what was never
taken; ``test_clean_up_of_what_is_half_done`` asks first, and passes. ``test_bare_except`` swallows the interrupt, ``test_except_exception``
does not. ``test_two_assignments`` leaves half of a change behind, which only an invariant shows, as the data of one's own objects is no
resource; ``test_one_assignment`` passes.
"""

import pytest


@pytest.mark.interrupt_safe
def test_clean_up_that_expects_too_much():
    slots = {}
    try:
        slots["taken"] = abs(-1)
    finally:
        slots.pop("taken")


@pytest.mark.interrupt_safe
def test_clean_up_of_what_is_half_done():
    slots = {}
    try:
        slots["taken"] = abs(-1)
    finally:
        slots.pop("taken", None)


def quiet_always():
    try:
        abs(-1)
    except:  # noqa: E722
        pass


def quiet_on_errors():
    try:
        abs(-1)
    except Exception:
        pass


@pytest.mark.interrupt_safe
def test_bare_except():
    quiet_always()


@pytest.mark.interrupt_safe
def test_except_exception():
    quiet_on_errors()


class Accounts:
    def __init__(self):
        self.left, self.right = 100, 0
        self.both = (100, 0)

    def transfer(self, amount):
        self.left -= abs(amount)
        self.right += abs(amount)

    def transfer_at_once(self, amount):
        left, right = self.both
        self.both = (left - abs(amount), right + abs(amount))


@pytest.mark.interrupt_safe
def test_two_assignments(maskcheck):
    accounts = Accounts()
    maskcheck.invariant(lambda: accounts.left + accounts.right == 100, "nothing gets lost")
    accounts.transfer(10)


@pytest.mark.interrupt_safe
def test_one_assignment(maskcheck):
    accounts = Accounts()
    maskcheck.invariant(lambda: sum(accounts.both) == 100, "nothing gets lost")
    accounts.transfer_at_once(10)
