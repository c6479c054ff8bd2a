"""The warehouse's address: what is refused, and that no error or display shows a password."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.bulk import transaction
from skyops_assets.warehouse.connection import (
    Warehouse,
    connection_error,
    open_warehouse,
    parse_url,
)


@pytest.mark.parametrize(
    ("given_url", "said"),
    [
        ("", "is not a database URL; it looks like postgresql://"),
        ("paris", "is not a database URL"),
        ("postgresql://u:p@host:port/db", "is not a database URL"),
        ("mysql://u:p@host/db", "names 'mysql'; SkyOps' warehouse is Postgres"),
        ("sqlite:///file.db", "names 'sqlite'"),
        ("postgresql://u:p@host", "names no database"),
        ("postgresql://u:p@host:5432/", "names no database"),
        ("postgresql://u:p@ss@host/db", "more than one '@'"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(given_url: str, said: str) -> None:
    with pytest.raises(SkyOpsError) as caught:
        parse_url(given_url)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given_url",
    [
        "postgresql://u:p@host:5432/db",
        "postgresql+psycopg2://u:p@host:5432/db",
        "postgres://u:p@host:5432/db",
    ],
)
def test_the_usual_spellings_name_one_address(given_url: str) -> None:
    warehouse = Warehouse(parse_url(given_url), False)
    assert warehouse.libpq() == "postgresql://u:p@host:5432/db"
    assert warehouse.sqlalchemy("mlflow") == "postgresql+psycopg2://u:p@host:5432/mlflow"
    assert warehouse.parts == {
        "host": "host", "port": "5432", "user": "u", "password": "p", "dbname": "db",
    }  # fmt: skip


def test_a_socket_is_an_address_too() -> None:
    warehouse = Warehouse(parse_url("postgresql://postgres@/skyops?host=/run/pg"), True)
    assert warehouse.parts["host"] == "/run/pg"
    assert warehouse.safe_url == "postgresql://postgres@/skyops?host=%2Frun%2Fpg"


def test_a_space_in_a_password_is_written_as_every_libpq_reads_it() -> None:
    warehouse = Warehouse(parse_url("postgresql://u:two words@host/db"), False)
    assert warehouse.libpq() == "postgresql://u:two%20words@host/db"


# Long and with a mark in it, so that it cannot stand in a message by chance.
password = st.text(string.printable.strip() + " éß漢", min_size=4, max_size=20).map(
    lambda text: f"zQ{text}Qz"
)


def shown(text: str, secret: str) -> bool:
    from urllib.parse import quote

    return any(form in text for form in (secret, quote(secret), quote(secret, safe="")))


@given(password)
def test_no_password_is_in_the_address_that_is_shown(secret: str) -> None:
    from sqlalchemy.engine import URL

    url = URL.create("postgresql", "u", secret, "host", 5432, "db", {"password": secret})
    warehouse = Warehouse(parse_url(url.render_as_string(hide_password=False)), False)
    assert warehouse.parts["password"] == secret
    assert not shown(warehouse.safe_url, secret)
    for said in (
        "password authentication failed",
        "timeout expired",
        'database "x" does not exist',
    ):
        assert not shown(str(connection_error(warehouse, said)), secret)


@given(password, st.sampled_from(["http", "mysql", "postgresql", "postgresql+nodriver", ""]))
def test_no_error_of_an_unusable_address_shows_its_password(secret: str, scheme: str) -> None:
    """Written into the address as a person would, without percent-encoding."""
    try:
        url = parse_url(f"{scheme}://u:{secret}@host:x/db")
    except SkyOpsError as error:
        assert not shown(str(error), secret)
    else:
        assert not shown(Warehouse(url, False).safe_url, secret)


# Each is refused at once on a port where nobody listens, or before a connection is tried.
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1/db", "127.0.0.1:1/db?foo=bar", "host.invalid/db", "127.0.0.1:1/db?host=/nowhere"],
)
@pytest.mark.parametrize("secret", ["zQsecretQz", "zQ two words Qz", "zQ%25%2F%3A%40Qz"])
def test_no_connection_error_shows_the_password(address: str, secret: str) -> None:
    given_url = f"postgresql://u:{secret}@{address}"
    with pytest.raises(SkyOpsError) as caught:
        open_warehouse(Settings(database_url=SecretStr(given_url)))
    with (
        pytest.raises(SkyOpsError) as through_arrow,
        transaction(Warehouse(parse_url(given_url), False)),
    ):
        pass
    for error in (caught.value, through_arrow.value):
        assert "zQ" not in str(error)
        assert "Qz" not in str(error)


@pytest.mark.parametrize(
    ("libpq", "said"),
    [
        (
            'FATAL:  password authentication failed for user "u"',
            "user 'u' or its password is wrong",
        ),
        ("fe_sendauth: no password supplied", "user 'u' or its password is wrong"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "allows no login from this machine"),
        ('FATAL:  database "db" does not exist', "has no such database"),
        ('could not translate host name "h" to address', "unknown host name"),
        ("Connection refused", "Is the server running"),
        ('FATAL:  role "u" does not exist', "cannot be reached"),
    ],
)
def test_each_of_libpqs_complaints_says_what_to_do(libpq: str, said: str) -> None:
    warehouse = Warehouse(parse_url("postgresql://u:p@host/db"), False)
    assert said in str(connection_error(warehouse, libpq))
