"""The documentation over HTTP, on loopback: ``python -m skyops_assets.operations.documentation``.

Belongs here: what is served where. Does not: building the site (`make docs`, mkdocs.yml), the dbt
docs (`skyops docs`) or Data Docs (`quality.data_docs`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

SITE = PROJECT_ROOT / "site"
"""Where `make docs` puts the site; git does not know it."""
HOST = "127.0.0.1"
DBT = "/dbt/"


def application(site: Path, built: Path) -> Starlette:
    """The site at `/`, dbt's page at `/dbt/`, and what else is built at its name (`/data_docs/`).

    Without a site the dbt docs are at `/` as well.
    """
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    pages = StaticFiles(directory=site, html=True, check_dir=False)
    pages.all_directories.append(built)
    dbt = StaticFiles(directory=built, html=True, check_dir=False)
    with_slash = Route("/dbt", lambda _: RedirectResponse(DBT))
    return Starlette(routes=[with_slash, Mount("/dbt", dbt), Mount("/", pages)])


def main(settings: Settings) -> None:
    """Serve until a signal."""
    import uvicorn

    uvicorn.run(
        application(SITE, settings.home / "docs"),
        host=HOST,
        port=settings.docs_port,
        log_level="warning",
    )


if __name__ == "__main__":
    from skyops_assets.settings import load_settings

    main(load_settings())
