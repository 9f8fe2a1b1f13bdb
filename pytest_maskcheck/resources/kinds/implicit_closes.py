"""Resources closed by the interpreter instead of by the code: the ResourceWarnings of a run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from pytest_maskcheck.resources.kind import Kind, Leftover
from pytest_maskcheck.resources.surroundings import Surroundings
from pytest_maskcheck.resources.warning_watcher import SHOWN, Filters, Watcher, install, location
from pytest_maskcheck.system.unpatched import io, os

_FILE = re.compile(r"<\S+ name=(?P<quote>['\"]?)(?P<name>.*?)(?P=quote)( [^>]*)?>")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class _Former:
    """The filters that were in force before, and where they are kept."""

    place: Any
    attribute: str
    filters: Any


class ImplicitCloses(Kind):
    """ResourceWarnings between ``snapshot`` and ``finish``, whatever the filters do with them. The token is the text."""

    name = "implicit"
    listens = True
    traced = False

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        super().__init__(surroundings)
        self._watcher = Watcher()

    def snapshot(self) -> object:
        self._watcher.clear()
        place, attribute = location()
        filters = getattr(place, attribute)
        if type(filters) is Filters:  # left by a snapshot that was not finished
            filters = filters.others()
        install(place, attribute, Filters(self._watcher.filter, (SHOWN, *filters)))
        return _Former(place, attribute, filters)

    def compare(self, before: object) -> list[Leftover]:  # noqa: ARG002
        if not self._watcher.texts:
            return []
        return [Leftover(self.name, self._key(text), text, text) for text in self._watcher.resource_warnings()]

    def _key(self, text: str) -> str:
        return self.surroundings.text(_ADDRESS.sub("0x#", _FILE.sub(r"\g<name>", text)))

    def finish(self, before: object) -> None:
        former = cast("_Former", before)
        install(former.place, former.attribute, former.filters)

    @contextmanager
    def canary(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = io.open(os.devnull, "rb")
            del file
        yield
