"""How long a run stood still: from the journals, since the next commit may be of a round before the fault."""

from __future__ import annotations

from p2pgan.journal import VersionEntry
from p2pgan.lab.pauses import longest_pauses, usual_gap, version_times
from p2pgan.protocol.ids import VersionRecord


def entry(at: float, version: int, digest: str = "") -> VersionEntry:
    name = digest or f"d{version}"
    return VersionEntry(at, VersionRecord(version, name, f"d{version - 1}", 1, 1, "a", 0, ()))


HISTORY = [entry(0.0, version).record for version in range(1, 9)]


def test_a_version_is_there_when_the_first_peer_has_it() -> None:
    one, other = [entry(10.0, 1), entry(11.0, 2)], [entry(10.2, 1), entry(10.9, 2), entry(12.0, 3)]

    assert version_times(HISTORY, [*one, *other]) == {1: 10.0, 2: 10.9, 3: 12.0}


def test_what_was_never_committed_is_no_version() -> None:
    undone = [entry(10.0, 1), entry(11.0, 2, "undone"), entry(19.0, 2)]

    assert version_times(HISTORY, undone) == {1: 10.0, 2: 19.0}


def test_a_commit_that_was_on_its_way_does_not_hide_a_pause() -> None:
    """The fault happens when version 2 is committed and round 3 is over already."""
    times = {1: 1.0, 2: 2.0, 3: 3.0, 4: 6.5, 5: 7.5, 6: 8.5}

    assert longest_pauses(times, [2]) == [3.5]


def test_each_fault_has_the_pause_before_the_next_one() -> None:
    times = {1: 1.0, 2: 2.0, 3: 5.0, 4: 6.0, 5: 7.0, 6: 15.0, 7: 16.0}

    assert longest_pauses(times, [2, 5]) == [3.0, 8.0]


def test_faults_without_a_version_between_them_share_their_pause() -> None:
    times = {1: 1.0, 2: 2.0, 3: 9.0, 4: 10.0}

    assert longest_pauses(times, [2, 2, 3]) == [7.0, 7.0, 1.0]


def test_after_the_last_version_there_is_no_telling() -> None:
    assert longest_pauses({1: 1.0, 2: 2.0}, [2]) == [None]
    assert longest_pauses({}, [0]) == [None]
    assert usual_gap({1: 1.0}) is None


def test_the_usual_gap_is_not_moved_by_a_few_long_ones() -> None:
    assert usual_gap({1: 1.0, 2: 2.0, 3: 3.1, 4: 13.0, 5: 14.1}) == 1.1
