from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.transport.parties import Party, RawPeer


@pytest.fixture
def party() -> Iterator[Callable[..., Party]]:
    """Makes parties and closes them, each within the time a close may take."""
    made: list[Party] = []

    def make(**options: Any) -> Party:
        made.append(Party(**options))
        return made[-1]

    yield make
    for each in made:
        each.transport.close()


@pytest.fixture
def raw() -> Iterator[RawPeer]:
    peer = RawPeer()
    yield peer
    peer.close()
