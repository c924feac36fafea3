"""Writes the tables of messages and headers in docs/wire.md from the types that read them.

Run it after a change of a message: ``python -m scripts.document_messages``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as types

from p2pgan.protocol.messages import AnyMessage, BlobHeader
from scripts.document_settings import table_cell

PAGE = Path(__file__).parents[1] / "docs" / "wire.md"
BEGIN, END = "<!-- messages: begin -->", "<!-- messages: end -->"
STRUCTS = (BlobHeader, *get_args(AnyMessage))
LARGE = 1 << 20
"""Bounds from here on are shown as powers where they are."""


def tables() -> str:
    """One table for each message, then one for each struct that they hold."""
    shown: list[type] = []
    waiting = list(STRUCTS)
    while waiting:
        struct = waiting.pop(0)
        if struct not in shown:
            shown.append(struct)
            waiting += [found for field in _fields(struct) for found in _held(field.type)]
    return "\n".join(line for struct in shown for line in _table(struct))


def updated(page: str) -> str:
    """``page`` with the present tables between its markers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page lacks the markers {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{tables()}\n{END}", page)


def title(struct: type) -> str:
    """The ``type`` of a message, the name of what is none."""
    tag = _known(struct).tag
    return struct.__name__ if tag is None else f"`{tag}`"


def _table(struct: type) -> Iterator[str]:
    known, meanings = _known(struct), _meanings(struct)
    shape = "An array, in this order." if known.array_like else ""
    first = (inspect.getdoc(struct) or "").replace("``", "`")
    yield f"### {title(struct)}"
    yield ""
    yield " ".join(f"{first} {shape}".split()).replace("<", "&lt;")
    yield ""
    yield "| field | is | if left out | meaning |"
    yield "|---|---|---|---|"
    for field in known.fields:
        meaning = table_cell(meanings.get(field.name, "").replace("``", "`"))
        yield f"| `{field.encode_name}` | {_kind(field.type)} | {_default(field)} | {meaning} |"
    yield ""


def _known(struct: type) -> types.StructType:
    found = types.type_info(struct)
    assert isinstance(found, types.StructType)
    return found


def _fields(struct: type) -> tuple[types.Field, ...]:
    return _known(struct).fields


def _held(kind: types.Type) -> Iterator[type]:
    """Structs in a type."""
    match kind:
        case types.StructType(cls=cls):
            yield cls
        case types.UnionType(types=several) | types.TupleType(item_types=several):
            for each in several:
                yield from _held(each)
        case types.VarTupleType(item_type=each):
            yield from _held(each)


def _kind(kind: types.Type) -> str:
    match kind:
        case types.IntType() | types.FloatType():
            bounds = [("from", kind.ge), ("above", kind.gt), ("to", kind.le)]
            name = "integer" if isinstance(kind, types.IntType) else "number"
            return " ".join([name, *(f"{word} {_number(of)}" for word, of in bounds if of is not None)])
        case types.StrType(min_length=least, max_length=most):
            return (
                f"text, {'' if least is None else f'{least} to '}{most}{' at most' if least is None else ''}"
            )
        case types.BoolType():
            return "true or false"
        case types.NoneType():
            return "nil"
        case types.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
        case types.EnumType(cls=cls):
            return " or ".join(f"`{member.value}`" for member in cls)
        case types.StructType(cls=cls):
            return title(cls)
        case types.UnionType(types=several):
            return " or ".join(map(_kind, several))
        case types.TupleType(item_types=several):
            return f"array of ({'; '.join(map(_kind, several))})"
        case types.VarTupleType(item_type=each, max_length=most):
            return f"array of {'' if most is None else f'at most {_number(most)} '}{_kind(each)}"
    raise ValueError(f"{kind} is not shown yet: add it")


def _number(value: float) -> str:
    whole = int(value)
    if whole == value and whole >= LARGE and whole & (whole - 1) == 0:
        return f"2^{whole.bit_length() - 1}"
    return f"{value:g}" if value >= LARGE else f"{whole if whole == value else value}"


def _default(field: types.Field) -> str:
    if field.required:
        return "must be there"
    value: Any = field.default_factory() if field.default is NODEFAULT else field.default
    return "nil" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def _meanings(struct: type) -> dict[str, str]:
    """What stands below each field in the source, those of the bases included."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base.__module__.startswith("p2pgan."):
            body = ast.parse(inspect.getsource(base)).body[0]
            assert isinstance(body, ast.ClassDef)
            for field, said in zip(body.body, body.body[1:], strict=False):
                match field, said:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        found[name] = text
    return found


def main() -> None:
    """Brings the page up to date."""
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
