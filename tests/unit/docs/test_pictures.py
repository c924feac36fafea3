"""The drawn pictures are what their script draws now, and a state that changes in the code stops it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from p2pgan.protocol.messages import Phase
from scripts import draw_pictures
from scripts.draw_pictures import DRAWN, PICTURES


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_up_to_date(name: str) -> None:
    drawn = DRAWN[name]()
    ET.fromstring(drawn)
    kept = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert kept == drawn, "run: python -m scripts.draw_pictures"


def test_a_new_state_must_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_pictures, "Phase", (*Phase, "dreaming"))
    with pytest.raises(ValueError, match="dreaming"):
        draw_pictures.member_states()
