from __future__ import annotations

import pytest

from p2pgan.peer.config import RunConfig
from scripts.document_settings import PAGE, table_cell, tables, updated


def test_the_tables_of_settings_are_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert updated(page) == page, "run: python scripts/document_settings.py"


def test_every_setting_is_in_the_tables() -> None:
    def leaves(values: dict[str, object], prefix: str = "") -> list[str]:
        found = []
        for key, value in values.items():
            found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
        return found

    text = tables()
    assert [name for name in leaves(RunConfig().model_dump()) if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize(
    ("description", "cell"),
    [
        ("Ends with a full stop.", "Ends with a full stop"),
        ("digits, folder:PATH, ...", "digits, folder:PATH, ..."),
        ("one|other, <bool>", "one\\|other, &lt;bool>"),
    ],
)
def test_nothing_of_a_meaning_gets_lost_in_its_cell(description: str, cell: str) -> None:
    assert table_cell(description) == cell
