from __future__ import annotations

from p2pgan.peer.config import RunConfig
from scripts.document_settings import PAGE, tables, updated


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
