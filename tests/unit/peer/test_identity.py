from __future__ import annotations

from p2pgan.peer.identity import unlike


def test_of_machines_with_one_name_all_but_the_first_show_their_keys() -> None:
    assert unlike([], "vm", "0123456789") == "vm"
    assert unlike(["vm"], "vm", "0123456789") == "vm 01234567"
    assert unlike(["vm", "vm 01234567"], "vm-2", "89abcdef01") == "vm-2"
