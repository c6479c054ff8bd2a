"""Commands for who may ask the service: API keys, and the link for a browser."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skyops_assets.cli.app import app
from skyops_assets.cli.output import JsonOption, err, minute, out, prepare, print_json

key = typer.Typer(
    help="Create, list and revoke API keys for the service; there are none by default.",
    no_args_is_help=True,
)
app.add_typer(key, name="key")


@key.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, - _ .")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, predict or admin; may be given several times. Default: read."),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Whom to contact about it. Default: you.")
    ] = None,
    expires: Annotated[
        str, typer.Option(help="Days from now (90d), the last day (2027-01-31, UTC), or never.")
    ] = "90d",
    as_json: JsonOption = False,
) -> None:
    """Create an API key and show it, this once only."""
    from skyops_assets.arrivals.models.champions import actor
    from skyops_assets.audit import api_keys

    expires_at = api_keys.end(expires)
    scopes = scope or [api_keys.READ]
    settings, warehouse = prepare()
    who = actor(settings)
    made = api_keys.create(
        warehouse, name, owner=owner or who, scopes=scopes, expires_at=expires_at, actor=who
    )
    if as_json:
        print_json({"key_id": name, "key": made, "owner": owner or who, "scopes": scopes,
                    "expires_at": expires_at})  # fmt: skip
        return
    until = f"until {minute(expires_at)} UTC" if expires_at else "without expiry"
    err.print(
        f"Key {escape(name)} of {escape(owner or who)} may {', '.join(scopes)}, {until}. It is "
        "shown only once; send it as `Authorization: Bearer ...`.",
        soft_wrap=True,
    )
    print(made)


@key.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the keys with owner, scopes and expiry, but not the secrets."""
    from skyops_assets.audit import api_keys

    _, warehouse = prepare()
    found = api_keys.list_all(warehouse)
    if as_json:
        print_json([{**row, "state": api_keys.state(row)} for row in found])
        return
    if not found:
        out.print("There are no keys; `skyops key create` creates one.")
        return
    table = Table("key", "owner", "scopes", "created", "expires", "state")
    for row in found:
        table.add_row(
            row["key_id"],
            escape(row["owner"]),
            ", ".join(row["scopes"]),
            minute(row["created_at"]),
            minute(row["expires_at"]) if row["expires_at"] else "never",
            api_keys.state(row),
        )
    out.print(table)


@key.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(help="Its name, as `skyops key list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a key; the service refuses it within two seconds."""
    from skyops_assets.arrivals.models.champions import actor
    from skyops_assets.audit import api_keys

    settings, warehouse = prepare()
    row = api_keys.revoke(warehouse, name, actor=actor(settings))
    if as_json:
        print_json({**row, "state": api_keys.state(row)})
        return
    out.print(f"Key {escape(name)} is revoked.")


@app.command()
def link(as_json: JsonOption = False) -> None:
    """Print the link that logs a browser in to the service; anyone with the link can use it."""
    from skyops_assets.operations import entrance
    from skyops_assets.settings import load_settings

    found = entrance.link(load_settings())
    if as_json:
        print_json({"link": found})
    else:
        print(found)
