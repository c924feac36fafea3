"""A database that cannot be had: which of name, port, TLS, password and role it is."""

from __future__ import annotations

import psycopg
import pytest

from p2pgan.errors import RendezvousRefused, RendezvousUnavailable, Trouble
from p2pgan.rendezvous.connection import Limits, Line
from p2pgan.rendezvous.translation import translate_connect

AT = 'connection to server at "10.0.0.5", port 5432 failed:'


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ('could not translate host name "db" to address: Name or service not known', Trouble.DATABASE_NAME),
        (f'{AT} FATAL:  database "gan" does not exist', Trouble.DATABASE_NAME),
        (f"{AT} Connection refused", Trouble.DATABASE_PORT),
        ("connection timeout expired", Trouble.DATABASE_PORT),
        (f"{AT} server does not support SSL, but SSL was required", Trouble.DATABASE_TLS),
        (f"{AT} SSL error: certificate verify failed", Trouble.DATABASE_TLS),
        (f'{AT} FATAL:  password authentication failed for user "me"', Trouble.DATABASE_PASSWORD),
        (f"{AT} fe_sendauth: no password supplied", Trouble.DATABASE_PASSWORD),
        (f'{AT} FATAL:  role "me" does not exist', Trouble.DATABASE_ROLE),
        (f'{AT} FATAL:  no pg_hba.conf entry for host "10.0.0.9"', Trouble.DATABASE_ROLE),
    ],
)
def test_each_has_its_place_on_the_page(words: str, trouble: Trouble) -> None:
    error = translate_connect(psycopg.OperationalError(words), "10.0.0.5:5432")
    assert isinstance(error, RendezvousRefused | RendezvousUnavailable)
    assert error.told == f"{error} (troubleshooting.md#{trouble})"


def test_a_name_that_nobody_knows() -> None:
    line = Line("postgresql://me@nowhere.invalid/gan", Limits(statement="1s", lock="1s"))
    with pytest.raises(RendezvousUnavailable) as caught, line.call():
        raise AssertionError("there is no such host")
    line.close()
    assert caught.value.trouble is Trouble.DATABASE_NAME
