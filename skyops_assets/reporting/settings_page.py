"""docs/settings.md, written from the settings: ``python -m skyops_assets.reporting.settings_page``.

Belongs here: the page's order and how a default is shown. Does not: what a setting is and does,
which its field says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skyops_assets.settings import PROJECT_ROOT, Settings

PREAMBLE = """# Settings

<!-- Written by `make docs` from skyops_assets/settings.py: change the descriptions there. -->

All settings are environment variables. None is needed for `make demo`. A value that cannot be used
stops the start, with one sentence that names the variable; so does a `SKYOPS_` name that is almost
one of these. Any other unknown name is only reported. In containers they are in `docker/.env`,
beside a few [settings of the containers](deploy.md#settings).

Each setting can also be read from a file, which suits secrets:
`SKYOPS_ALERT_WEBHOOK_URL_FILE=/run/secrets/webhook` sets `SKYOPS_ALERT_WEBHOOK_URL` to the contents
of that file.
"""
SECTIONS = {
    "home": "Warehouse, files and processes",
    "watch_airports": "Sources",
    "opensky_client_id": "OpenSky and the collector",
    "raw_max_rejected_share": "Limits of checks",
    "recipe": "The arrival-time model",
    "alert_webhook_url": "Alerts",
    "pushgateway_url": "Metrics",
}
"""The heading above a section, by the section's first setting."""
CLOSING = """
Nothing that SkyOps starts reports its use to anyone: the telemetry of Dagster, dbt, MLflow and
Great Expectations is off.
"""


def settings_page() -> str:
    """The page: a table for each section, and one for each setting that is a JSON object."""
    return PREAMBLE + "\n".join(_sections()) + "\n" + CLOSING


def _sections() -> Iterator[str]:
    prefix = Settings.model_config["env_prefix"]
    objects: list[tuple[str, type[BaseModel]]] = []
    for name, field in Settings.model_fields.items():
        if field.exclude:
            continue
        if name in SECTIONS:
            yield from _objects(objects)
            objects = []
            yield from (f"\n## {SECTIONS[name]}\n", "| variable | default | meaning |")
            yield "|---|---|---|"
        variable = f"{prefix}{name.upper()}"
        yield f"| `{variable}` | {_default(field)} | {field.description} |"
        objects += [(variable, model) for model in _models(field.annotation)]
    yield from _objects(objects)


def _objects(objects: list[tuple[str, type[BaseModel]]]) -> Iterator[str]:
    for variable, model in objects:
        yield from (f"\n### Names in `{variable}`\n", "| name | default | meaning |")
        yield "|---|---|---|"
        for name, field in model.model_fields.items():
            yield f"| `{name}` | {_default(field)} | {field.description} |"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The JSON objects in a field's type, such as the routes in `dict[str, AlertRoute]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ((), {}):
        return "unset"
    if isinstance(value, BaseModel):
        return "below"
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}` in the project"
    if isinstance(value, datetime):
        text = value.isoformat(timespec="minutes")
    elif isinstance(value, tuple):
        text = ",".join(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value.value if isinstance(value, Enum) else value)
    return f"`{text}`"


if __name__ == "__main__":
    (PROJECT_ROOT / "docs" / "settings.md").write_text(settings_page())
