"""How a peer fetches a snapshot: events in, effects out."""

from __future__ import annotations

from p2pgan.protocol.catchup import MOST_IN_FLIGHT, PATIENCE_S
from p2pgan.protocol.effects import InstallSnapshot, Note, Send
from p2pgan.protocol.events import ChunkArrived, LeaseRead
from p2pgan.protocol.ids import SnapshotManifest
from p2pgan.protocol.messages import ChunkMissing, ChunkRequest, Welcome
from tests.unit.protocol.steps import Driver

CHUNKS = 40
MANIFEST = SnapshotManifest(7, "seven", "schema", 0, CHUNKS << 20, tuple(f"c{i}" for i in range(CHUNKS)))


def fetching(*donors: str) -> Driver:
    driver = Driver(others=("b", *donors))
    driver.give(LeaseRead(1, "b", 5.0, None))
    driver.hear("b", Welcome(run="run", term=1, manifest=MANIFEST, ledger=(), donors=donors))
    return driver


def asked(driver: Driver, donor: str) -> list[int]:
    requests = [e for e in driver.all if isinstance(e, Send) and isinstance(e.message, ChunkRequest)]
    return [e.message.index for e in requests if e.to == donor]


def give(driver: Driver, donor: str, index: int, after: float = 0.0) -> None:
    driver.tick(after)
    driver.give(ChunkArrived(donor, 7, "seven", index, True))


def notes(driver: Driver) -> list[str]:
    return [effect.text for effect in driver.all if isinstance(effect, Note)]


def test_a_quick_donor_is_asked_for_more_at_a_time_and_a_slow_one_for_one() -> None:
    quick, slow = fetching(), fetching()
    for index in range(3):
        give(quick, "b", index)
        assert len(asked(quick, "b")) == index + 1 + index + 2, "one more in flight"

    assert asked(slow, "b") == [0]
    for index in range(5):
        give(slow, "b", index, after=8.0)
        assert asked(slow, "b") == list(range(index + 2)), "one chunk at a time, and nothing is given up"


def test_the_window_is_bounded() -> None:
    driver = fetching()
    arrived = 0
    for _ in range(20):
        give(driver, "b", asked(driver, "b")[arrived])
        arrived += 1
    assert len(asked(driver, "b")) - arrived == MOST_IN_FLIGHT


def test_all_donors_give_different_chunks() -> None:
    driver = fetching("c", "d")

    assert [asked(driver, donor) for donor in ("c", "d", "b")] == [[0], [1], [2]]


def test_a_slow_snapshot_is_not_begun_anew_while_chunks_arrive() -> None:
    driver = fetching()
    for index in range(CHUNKS):
        give(driver, "b", index, after=PATIENCE_S - 1)
        newer = Welcome(run="run", term=1, manifest=MANIFEST, ledger=(), donors=())
        driver.hear("b", newer)
    assert len(asked(driver, "b")) == CHUNKS
    assert driver.of(InstallSnapshot)


def test_a_donor_that_gives_nothing_is_left_for_the_others() -> None:
    driver = fetching("c")
    for index in range(1, CHUNKS):
        give(driver, "b", index)

    driver.tick(PATIENCE_S + 1)
    give(driver, "b", 0)

    assert 0 in asked(driver, "b"), "the last chunk is asked of the other donor"
    assert driver.of(InstallSnapshot)


def test_donors_that_die_one_after_the_other_are_named_and_the_last_one_gives_all() -> None:
    driver = fetching("c", "d")
    give(driver, "c", 0, after=8.0)  # and never again; d gives nothing at all
    while not driver.of(InstallSnapshot):
        fetch = driver.machine.catchup.fetch
        assert fetch is not None
        waits = next(index for index in asked(driver, "b") if index in fetch.missing)
        give(driver, "b", waits, after=5.0)
    assert [note for note in notes(driver) if "answer" in note] == ["d does not answer", "c does not answer"]
    assert set(asked(driver, "b")) == set(range(1, CHUNKS))


def test_a_donor_that_has_dropped_the_version_is_named() -> None:
    driver = fetching("c")
    driver.hear("c", ChunkMissing(run="run", term=1, version=7, digest="seven", index=0))

    assert notes(driver)[-1] == "c does not have version 7 any more"
    assert driver.machine.catchup.busy


def test_without_any_donor_the_fetch_ends() -> None:
    driver = fetching()
    driver.hear("b", ChunkMissing(run="run", term=1, version=7, digest="seven", index=0))

    assert not driver.machine.catchup.busy
