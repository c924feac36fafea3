from __future__ import annotations

from typing import get_args

import msgspec

from p2pgan.protocol.messages import AnyMessage, BlobHeader
from p2pgan.transport.keying import Keying
from p2pgan.transport.sharing import Placed, Sharing
from scripts.document_messages import PAGE, tables, updated


def test_the_tables_of_messages_are_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert updated(page) == page, "run: python -m scripts.document_messages"


def test_every_field_that_goes_over_the_wire_is_in_the_tables() -> None:
    text = tables()
    for struct in (BlobHeader, *get_args(AnyMessage)):
        section = text.partition(f"### {_title(struct)}\n")[2].partition("###")[0]
        for field in struct.__struct_encode_fields__:
            assert f"| `{field}` |" in section, f"{struct.__name__}.{field}"


def test_the_page_names_every_message_and_field_of_the_transport() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for struct in (*get_args(Keying), *get_args(Sharing), Placed):
        assert struct is Placed or f"| `{struct.__struct_config__.tag}` |" in page
        for field in struct.__struct_encode_fields__:
            assert f"`{field}`" in page, f"{struct.__name__}.{field}"


def _title(struct: type[msgspec.Struct]) -> str:
    return "BlobHeader" if struct is BlobHeader else f"`{struct.__struct_config__.tag}`"
