"""What fixtures that outlive a run share with other processes and threads.

This decides whether a test can be forked, and whether its runs can be kept apart: a fork loses running threads, and all forked processes
share one connection. So each setup of such a fixture is watched for threads that it starts and channels that it opens.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_maskcheck.audit.assignment import Channel
from pytest_maskcheck.reasons import Reason, Strategy
from pytest_maskcheck.runs.fixture_channels import FixtureChannels
from pytest_maskcheck.session.private import fixtures, temporary_directory
from pytest_maskcheck.session.shared_descriptors import shared_descriptors
from pytest_maskcheck.system.unpatched import threading, time

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest


class SharedFixtures:
    """Watches the setup of fixtures that outlive a run.

    Parameters:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._threads: dict[pytest.FixtureDef[Any], set[threading.Thread]] = {}
        self._channels: dict[pytest.FixtureDef[Any], Channel] = {}
        # An error of maskcheck must not fail the fixture: it is raised when a test that uses the fixture is audited.
        self._failed: dict[pytest.FixtureDef[Any], Exception] = {}

    def watched(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Watch the setup of a fixture, as a hook wrapper around it."""
        try:
            before, began = set(threading.enumerate()), time.perf_counter()
            opened = FixtureChannels(partial(temporary_directory, self._config))
        except Exception as error:  # noqa: BLE001  (see __init__)
            self._failed[fixturedef] = error
            return (yield)
        with opened.watching():
            result = yield
        try:
            seconds = time.perf_counter() - began
            if started := set(threading.enumerate()) - before:
                self._threads[fixturedef] = started
            if shared := opened.shared():
                # Django's test database has a fixed name: another setup would drop the one that is there.
                fixed = fixturedef.argname == "django_db_setup" or opened.is_fixed()
                self._channels[fixturedef] = Channel(
                    fixturedef.argname, shared, opened.descriptors(), seconds, fixed=fixed
                )
        except Exception as error:  # noqa: BLE001  (see __init__)
            self._failed[fixturedef] = error
        return result

    def threads_of(self, item: pytest.Item | None) -> list[str]:
        """Return the names of the running threads that the fixtures of an item started."""
        used = fixtures(item) if item is not None else []
        threads = {thread for fixture in used for thread in self._threads.get(fixture, ()) if thread.is_alive()}
        return sorted(thread.name for thread in threads)

    def channels_of(self, item: pytest.Item, known: frozenset[int]) -> tuple[Channel, ...]:
        """Return what an item shares with other processes and threads for longer than a run.

        Parameters:
            item: the test.
            known: descriptors that have nothing to do with it.
        """
        used = set(fixtures(item))
        for fixture in used & self._failed.keys():
            raise self._failed[fixture]
        channels = [channel for fixture, channel in self._channels.items() if fixture in used and fixture.cached_result]
        owned = {fd for channel in self._channels.values() for fd in channel.descriptors}
        others = shared_descriptors(known | owned)
        return (
            *channels,
            *(Channel("", Reason(Strategy.THREAD, name=name)) for name in self.threads_of(item)),
            *(Channel("", what) for what in others),
        )
