"""Writes the tables of settings in docs/configuration.md from the models that check them.

Run it after a change of a setting: ``python scripts/document_settings.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from p2pgan.peer.config import RunConfig

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"

Schema = Mapping[str, Any]


def tables() -> str:
    """One table for each group of settings, in the order of the models."""
    schema = RunConfig.model_json_schema()
    return "\n".join(_table(schema, "", schema["$defs"]))


def updated(page: str) -> str:
    """``page`` with the present tables between its markers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page lacks the markers {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{tables()}\n{END}", page)


def _table(model: Schema, prefix: str, models: Mapping[str, Schema]) -> Iterator[str]:
    fields = model["properties"].items()
    groups = {key: models[field["$ref"].rpartition("/")[2]] for key, field in fields if "$ref" in field}
    settings = {key: field for key, field in fields if key not in groups}
    yield f"### {f'`{prefix}`' if prefix else 'The run'}"
    yield ""
    yield " ".join(model["description"].split())
    yield ""
    if settings:
        yield "| setting | default | allowed | meaning |"
        yield "|---|---|---|---|"
        for key, field in settings.items():
            name = f"{prefix}.{key}" if prefix else key
            meaning = table_cell(field["description"])
            yield f"| `{name}` | {_value(field['default'])} | {_allowed(field)} | {meaning} |"
        yield ""
    for key, group in groups.items():
        yield from _table(group, f"{prefix}.{key}" if prefix else key, models)


def table_cell(description: str) -> str:
    """A description without its full stop, as the cell of a table: pipes and angle brackets are text."""
    text = " ".join(description.split())
    if text.endswith(".") and not text.endswith("..."):
        text = text[:-1]
    return text.replace("|", "\\|").replace("<", "&lt;")


def _value(value: object) -> str:
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: Schema) -> str:
    if "const" in field:
        return _value(field["const"])
    if "enum" in field:
        return ", ".join(map(_value, field["enum"]))
    if field.get("type") == "array":
        return f"list of {_allowed(field['items'])}"
    if "anyOf" in field:
        return " or ".join(_allowed(part) for part in field["anyOf"])
    kinds = {
        "boolean": "true, false",
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "null": "none",
    }
    limits = [
        f"{word} {field[key]:,}".removesuffix(".0")
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
            ("multipleOf", "in steps of"),
        )
        if key in field
    ]
    return " ".join([kinds[field["type"]], *limits])


def main() -> None:
    """Brings the page up to date."""
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
