"""The documentation over HTTP, on loopback: ``python -m skyops_assets.operations.documentation``.

Belongs here: what is served where. Does not: building the site (`make docs`, mkdocs.yml), the dbt
docs (`skyops docs`) or Data Docs (`quality.data_docs`).
"""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.store import DOCS, Store, open_store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

SITE = PROJECT_ROOT / "site"
"""Where `make docs` puts the site; git does not know it."""
HOST = "127.0.0.1"
DBT = "/dbt/"


def application(site: Path, built: Store) -> Starlette:
    """The site at `/`, dbt's page at `/dbt/`, and what else is built at its name (`/data_docs/`).

    Without a site the dbt docs are at `/` as well.

    Args:
        built: the store's folder of what is built.
    """
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse, Response
    from starlette.routing import BaseRoute, Mount, Route
    from starlette.staticfiles import StaticFiles

    pages = StaticFiles(directory=site, html=True, check_dir=False)
    with_slash = Route("/dbt", lambda _: RedirectResponse(DBT))
    if built.is_local:
        # StaticFiles fails without its folder, and what is to be there may be built later.
        Path(built.place).mkdir(parents=True, exist_ok=True)
        dbt = StaticFiles(directory=built.place, html=True)
        if not site.is_dir():
            pages = dbt
        pages.all_directories.append(built.place)
        return Starlette(routes=[with_slash, Mount("/dbt", dbt), Mount("/", pages)])

    def kept(request: Request) -> Response:
        name = request.scope["path"].removeprefix(DBT).lstrip("/") or "index.html"
        # AWS' client resolves `..` as a file system does, and an empty part is an error.
        is_below = {"", ".", ".."}.isdisjoint(name.split("/"))
        content = built.read(name) if is_below else None
        if content is None:
            return Response("Not Found", 404, media_type="text/plain")
        return Response(content, media_type=guess_type(name)[0])

    routes: list[BaseRoute] = [with_slash, Route("/dbt/{path:path}", kept)]
    if not (site / "index.html").exists():
        return Starlette(routes=[*routes, Route("/{path:path}", kept)])
    return Starlette(routes=[*routes, Route("/data_docs/{path:path}", kept), Mount("/", pages)])


def main(settings: Settings, host: str = HOST) -> None:
    """Serve until a signal."""
    import uvicorn

    uvicorn.run(
        application(SITE, open_store(settings).below(DOCS)),
        host=host,
        port=settings.docs_port,
        log_level="warning",
    )


if __name__ == "__main__":
    import sys

    from skyops_assets.settings import load_settings

    main(load_settings(), *sys.argv[1:])
