"""Which codec a round uses: the rule, and the leader that follows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pgan.protocol.codecs import FAST, choose_codec
from p2pgan.protocol.effects import Note
from p2pgan.protocol.events import UplinkMeasured
from p2pgan.protocol.messages import Heartbeat, Plan
from tests.unit.protocol.steps import Driver
from tests.unit.protocol.test_bandwidth import plan_of
from tests.unit.protocol.test_conduct import leading, vote

ELEMENTS, ROUND_S = 1_000_000, 5.0
ENOUGH = 4 * ELEMENTS / (0.1 * ROUND_S)
"""Bytes per second at which fp16 takes just a tenth of a round."""


def test_fp16_until_something_is_known() -> None:
    assert choose_codec([0.0, 0.0], ELEMENTS, ROUND_S) == ("fp16", "fp16: no member's bandwidth is known yet")


def test_the_slowest_member_decides_and_the_reason_says_so() -> None:
    assert choose_codec([0.0, 1e9, ENOUGH], ELEMENTS, ROUND_S).codec == "fp16"
    codec, reason = choose_codec([1e9, 1e6], ELEMENTS, ROUND_S)
    assert codec == "int8"
    assert reason == (
        "int8: at fp16 the slowest member, with 8 Mbit/s, sends for 4 s, more than a tenth of a round"
    )


@given(st.lists(st.floats(0, 1e9), max_size=8), st.floats(0, 1e9))
def test_one_more_member_never_makes_it_larger(uplinks: list[float], one_more: float) -> None:
    before = choose_codec(uplinks, ELEMENTS, ROUND_S).codec
    after = choose_codec([*uplinks, one_more], ELEMENTS, ROUND_S).codec
    assert (before, after) != ("int8", "fp16")


def test_over_fast_lines_int8_is_not_worth_its_making() -> None:
    codec, reason = choose_codec([FAST, 2 * FAST], ELEMENTS, 1e-3)
    assert codec == "fp16"
    assert reason.endswith("sends for 0.008 s, as fast as int8 is made")
    assert choose_codec([FAST / 2, 2 * FAST], ELEMENTS, 1e-3).codec == "int8"


def test_rounds_of_a_fixed_number_of_steps_are_as_long_as_those_take() -> None:
    """In ``gradients`` a round is a step, whatever ``round_s`` says."""
    uplink = 25e6
    driver, plan = leading("b", codec="auto", local_steps=1, vector_size=ELEMENTS)
    driver.give(UplinkMeasured(uplink))
    driver.beat("b", uplink=uplink)
    assert plan.codec == "fp16", "nobody's speed is known"
    for number in range(4):
        plan = plan_of(driver)
        driver.train()
        driver.assemble(plan, f"v{number}")
        vote(driver, "b", plan, f"v{number}", uplink=uplink, images_per_s=100.0)
    usual_s = driver.machine.core.config.round_s
    assert 4 * ELEMENTS / uplink < 0.1 * usual_s, "fp16 by the time of usual rounds"
    assert plan_of(driver).codec == "int8", "a step of 8 images takes 0.08 s, to send its gradients 0.16 s"


def leader(**changes: object) -> tuple[Driver, Plan]:
    driver = Driver(others=("b",), codec="auto", **changes)
    driver.give(UplinkMeasured(1e9))
    driver.lead("b")
    driver.beat("b", uplink=1000.0)
    watch = driver.machine.leading.conductor.watch
    assert watch is not None
    return driver, watch.plan


def test_a_leader_plans_by_what_members_report_and_notes_why() -> None:
    driver, plan = leader()
    assert driver.machine.leading.conductor.planner._bandwidth.codec(["a", "b"]) == "int8"
    assert [note.kind for note in driver.of(Note) if "Mbit/s" in note.text] != []
    assert plan.codec == "fp16", "the first plan was made before anything of b was known"


def test_a_member_tells_its_leader_how_fast_it_sends() -> None:
    driver = Driver(others=("b",))
    driver.follow("b")
    driver.give(UplinkMeasured(5e6))
    driver.tick(1.0)
    assert driver.sent(Heartbeat, "b")[-1].uplink == 5e6
