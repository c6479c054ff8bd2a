"""Commands that answer from the warehouse: a query, and what tables there are."""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import Annotated

import typer

from skyops_assets.cli.app import app
from skyops_assets.cli.output import (
    JsonOption,
    err,
    note,
    out,
    prepare,
    print_json,
    show_rows,
    text,
)
from skyops_assets.errors import SkyOpsError


class Format(StrEnum):
    """How `skyops sql` prints an answer."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT on the warehouse.")],
    format: Annotated[
        Format,
        typer.Option(
            help="How to print the result; a table wider than the terminal is "
            "printed one record at a time."
        ),
    ] = Format.table,
    as_json: JsonOption = False,
) -> None:
    """Query the warehouse (read-only)."""
    import psycopg2
    from psycopg2.extensions import set_wait_callback
    from psycopg2.extras import wait_select

    from skyops_assets.warehouse.query import read_only
    from skyops_assets.warehouse.roles import READER, connected

    settings, warehouse = prepare()
    warehouse, why = connected(warehouse, settings, READER)
    if why:
        note(f"The query does not run under the read-only role: {why}")
    # Else Ctrl-C would wait for the answer; so it has the server stop.
    set_wait_callback(wait_select)
    try:
        names, rows = read_only(warehouse, query)
    except psycopg2.Error as error:
        if "due to user request" in str(error):
            raise KeyboardInterrupt from None
        raise SkyOpsError(f"Postgres rejects the query: {str(error).strip()}") from error
    finally:
        set_wait_callback(None)
    if not names:
        raise SkyOpsError("The statement returns no rows; `skyops sql` takes a SELECT.")
    if as_json or format is Format.json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif format is Format.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([["" if v is None else text(v) for v in row] for row in rows])
    else:
        show_rows(names, rows)


@app.command()
def tables(as_json: JsonOption = False) -> None:
    """List every table, its approximate number of rows, and what a row is."""
    from skyops_assets.operations.catalogue import catalogue

    _, warehouse = prepare()
    with err.status("Reading the catalogue"):
        found = catalogue(warehouse)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    longest = max(len(one.table) for one in found)
    for one in found:
        rows = "-" if one.rows is None else f"{one.rows:,}"
        line = f"{one.table:<{longest}} {rows:>12}  {one.about}"
        out.print(line, markup=False, no_wrap=out.is_terminal, overflow="ellipsis")
