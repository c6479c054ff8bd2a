"""docs/api.md, from the OpenAPI document: ``python -m skyops_assets.serving.api_page``.

Belongs here: how an endpoint is listed. Does not: what it answers, which its function says.
"""

from __future__ import annotations

import os
from typing import Any

from skyops_assets.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "api.md"
HEAD = """# Endpoints

<!-- Written by `make docs` from the service's OpenAPI document: change the descriptions there. -->

All endpoints of the [service](service.md), which explains them. The full document, with every
field, its unit and an example of each answer, is at `/v1/openapi.json` of a running service;
programs can generate a client from it. What is stable: [stability](stability.md).

| method | address | returns | parameters |
|---|---|---|---|
"""


def api_page(document: dict[str, Any]) -> str:
    """The page: a line for each operation, in the order of the document."""
    lines = [
        f"| {method.upper()} | `{path}` | {_first_line(operation)} | {_parameters(operation)} |\n"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return HEAD + "".join(lines)


def _first_line(operation: dict[str, Any]) -> str:
    said = operation.get("description") or operation["summary"]
    return str(said).split("\n\n", maxsplit=1)[0].replace("\n", " ").replace("|", "\\|")


def _parameters(operation: dict[str, Any]) -> str:
    names = [each["name"] for each in operation.get("parameters", []) if each["in"] != "header"]
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write the page."""
    from skyops_assets.serving.app import create_app

    # The service connects when it starts; only its description is asked for.
    os.environ.setdefault("SKYOPS_WAREHOUSE_URL", "postgresql:///none")
    PAGE.write_text(api_page(create_app().openapi()))


if __name__ == "__main__":
    main()
