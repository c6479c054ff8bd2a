"""Every setting of SkyOps, read from the environment with the prefix ``SKYOPS_``.

What belongs here: names, defaults, validation. What does not: opening connections,
creating directories, or anything else that touches the world.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from skyops_assets.errors import SkyOpsError
from skyops_assets.monitoring.policy import RetrainPolicy

PROJECT_ROOT = Path(__file__).resolve().parent.parent

JSON_EXAMPLES = {
    "alert_routes": '{"team:skyops": {"recipients": ["me@example.org"]}}',
    "retrain_policy": '{"max_age_days": 60, "new_arrivals": null}',
}


class AlertRoute(BaseModel):
    """Where the alerts of one owner go; what is not set here is taken from the general settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_url: SecretStr | None = None
    recipients: tuple[str, ...] = ()


class Settings(BaseSettings):
    """SkyOps' configuration; each field is the environment variable ``SKYOPS_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="SKYOPS_", extra="ignore", frozen=True)

    home: Path = Field(PROJECT_ROOT / ".skyops", description="Folder of all local state.")
    database_url: SecretStr | None = Field(
        None,
        description="Postgres server and warehouse database; unset starts an embedded Postgres.",
    )
    warehouse_url: SecretStr | None = Field(
        None,
        description="Set by `skyops` for its child processes: the running warehouse.",
    )
    dagster_database: str = Field("dagster", description="Database of Dagster's storage.")
    mlflow_database: str = Field("mlflow", description="Database of MLflow's backend.")
    connect_timeout_s: int = Field(5, ge=1, description="Seconds until a connection attempt fails.")
    wait_for_warehouse_s: int = Field(
        0, ge=0, description="Seconds to keep trying a server that cannot be reached yet."
    )
    data_mirror: Path | None = Field(
        None, description="Local folder that stands in for the web when fetching open data."
    )
    recording: Path | None = Field(
        None,
        description="Recording, or folder, that raw/opensky_states reads; unset takes the demo's.",
    )
    raw_retention_days: int | None = Field(
        None,
        ge=1,
        description="Whole days before today for which positions are kept; unset keeps them all.",
    )
    raw_least_volume_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="An hour's positions below this share of the usual, or over its inverse, warn.",
    )
    raw_max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="Share of the new positions that may be rejected in a day."
    )
    raw_max_null_rise: float = Field(
        0.2,
        gt=0,
        le=1,
        description="How far a column's share of nulls may lie above the usual before it warns.",
    )
    transform_deadline_h: float = Field(
        3, gt=0, description="Hours after which a load that is in no model warns."
    )
    champion_max_age_days: float = Field(
        35, gt=0, description="Days of arrivals unseen by the champion after which it warns."
    )
    least_outcome_share: float = Field(
        0.95, ge=0, le=1, description="Share of the predictions due that must have an outcome."
    )
    least_disk_days: float = Field(
        14, ge=0, description="Days of positions for which the disk must have room."
    )
    least_disk_gb: float = Field(
        5, ge=0, description="Gigabytes that must be free on the embedded server's disk."
    )
    watch_airports: Annotated[tuple[str, ...], NoDecode] = Field(
        ("LFPG", "LFPO", "LFPB", "LFOB", "LFPV"),
        description="ICAO codes, separated by commas, for which rings and arrivals are modelled.",
    )
    first_hour: datetime = Field(
        datetime(2021, 10, 7, 12), description="First hourly partition of raw/opensky_states (UTC)."
    )
    history_airports: Annotated[tuple[str, ...], NoDecode] = Field(
        ("LSZH",),
        description="ICAO codes, separated by commas, whose arrivals raw/arrivals_history reads.",
    )
    history_first_day: date = Field(
        date(2019, 3, 1), description="First daily partition of raw/arrivals_history (UTC)."
    )
    aircraft_csv: Path | None = Field(
        None,
        description="Aircraft database (CSV with OpenSky's columns) that raw/aircraft reads.",
    )
    metar_url: str | None = Field(
        None,
        description="Address or path with {airport}, {day} and {next_day} where raw/metars reads.",
    )
    learn_from_simulated: bool = Field(
        False, description="Whether models learn from, and are judged on, simulated positions."
    )
    recipe: str = Field("hgb-l1", description="What the challenger is fitted with.")
    search_trials: int = Field(
        2,
        ge=0,
        description="Candidates that a search tries beside the recipe's own parameters.",
    )
    mlflow_artifacts: str | None = Field(
        None, description="Root of MLflow's artifacts; unset keeps them under the home folder."
    )
    model_store: str | None = Field(
        None,
        description="Folder or s3://bucket/prefix to which the champion is exported; unset: none.",
    )
    model_store_endpoint: str | None = Field(
        None, description="Address of an S3-compatible server; unset takes AWS' own."
    )
    model_store_region: str | None = Field(
        None, description="Region of the bucket; unset takes AWS' own variables."
    )
    model_store_access_key_id: SecretStr | None = Field(
        None, description="Access key of the bucket; unset takes AWS' own variables."
    )
    model_store_secret_access_key: SecretStr | None = Field(None, description="Secret of that key.")
    actor: str | None = Field(
        None, description="Who changes the champion by hand; unset takes the system's user."
    )
    opensky_client_id: str | None = Field(
        None, description="OpenSky API client; unset asks anonymously, with fewer credits."
    )
    opensky_client_secret: SecretStr | None = Field(
        None, description="Secret of the OpenSky API client."
    )
    opensky_url: str = Field(
        "https://opensky-network.org/api", description="Address of OpenSky's REST API."
    )
    opensky_token_url: str = Field(
        "https://auth.opensky-network.org/auth/realms/opensky-network/protocol/openid-connect/token",
        description="Address that gives OpenSky's access tokens.",
    )
    opensky_daily_credits: int | None = Field(
        None, ge=0, description="OpenSky credits to spend a UTC day; unset takes the account's."
    )
    opensky_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds until a request to OpenSky fails."
    )
    collect_radius_nm: float = Field(
        105,
        gt=0,
        le=1000,
        description="Positions are asked for this far from each watched airport, nautical miles.",
    )
    collect_interval_s: float | None = Field(
        None,
        gt=0,
        description="Shortest time between two rounds of requests; unset takes the account's.",
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="Address that takes alerts as Slack's JSON; unset sends none."
    )
    alert_smtp_host: str | None = Field(
        None, description="Mail server for alerts; unset sends no mail."
    )
    alert_smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    alert_smtp_starttls: bool = Field(
        True, description="Whether mail goes over STARTTLS; on port 465 always over TLS."
    )
    alert_smtp_user: str | None = Field(None, description="User of the mail server, if it asks.")
    alert_smtp_password: SecretStr | None = Field(None, description="Password of that user.")
    alert_sender: str | None = Field(
        None, description="Sender of alerts; unset takes skyops@ the mail server."
    )
    alert_recipients: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="E-mail addresses for alerts, separated by commas."
    )
    alert_routes: Annotated[dict[str, AlertRoute], NoDecode] = Field(
        {}, description="JSON: an owner's own webhook_url and recipients, by owner."
    )
    alert_warn_checks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Checks, separated by commas, whose warnings are alerts as well."
    )
    alert_r2_floor: float | None = Field(
        None, lt=1, description="Alert when a monitored window's R2 is below; unset never."
    )
    retrain_policy: Annotated[RetrainPolicy, NoDecode] = Field(
        RetrainPolicy(),
        description="JSON: thresholds of the retraining policy that are not its defaults.",
    )
    run_retention_days: int = Field(
        90, ge=1, description="Days for which runs and unused trainings are kept."
    )
    ui_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI (loopback).")
    docs_port: int = Field(3001, ge=1, le=65535, description="Port of the dbt docs (loopback).")

    @field_validator("watch_airports", "history_airports", mode="before")
    @classmethod
    def _split_airports(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("alert_recipients", "alert_warn_checks", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("alert_routes", "retrain_policy", mode="before")
    @classmethod
    def _read_json(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value.strip() else {}
        except ValueError:
            # Without the decoder's words: they quote what they could not read.
            example = JSON_EXAMPLES[str(info.field_name)]
            raise ValueError(f"it is no JSON such as {example}") from None

    @field_validator("alert_webhook_url")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("it is no http or https address")
        return value

    @field_validator("watch_airports", "history_airports")
    @classmethod
    def _check_airports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            if not (len(code) == 4 and code.isalnum() and code.isupper()):
                raise ValueError(f"{code!r} is not an ICAO airport code such as LFPG")
        return value

    @field_validator(
        "actor",
        "metar_url",
        "model_store",
        "model_store_endpoint",
        "model_store_region",
        "model_store_access_key_id",
        "model_store_secret_access_key",
        "alert_webhook_url",
        "alert_smtp_host",
        "alert_smtp_user",
        "alert_smtp_password",
        "alert_sender",
        "alert_r2_floor",
        "opensky_client_id",
        "opensky_client_secret",
        "opensky_daily_credits",
        "collect_interval_s",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        # docker compose passes a variable that is not set as an empty one.
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("model_store")
    @classmethod
    def _check_model_store(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "://" not in value:
            if not value.startswith("/"):
                # Runs are started in other folders than commands.
                raise ValueError(f"{value!r} must begin with / or be s3://bucket/prefix")
            return value
        bucket = value.removeprefix("s3://").split("/")[0]
        if not value.startswith("s3://") or not bucket or set(value) & set("@?# "):
            # Without the value: what has an @ may hold a password.
            raise ValueError("it is neither a folder nor s3://bucket/prefix")
        return value.rstrip("/")

    @field_validator("metar_url")
    @classmethod
    def _check_metar_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # Not shown: an address may hold a key.
        if not value.startswith(("https://", "http://", "/")):
            raise ValueError("it is neither an http or https address nor a path that begins with /")
        try:
            made = value.format(airport="LFPG", day="2021-10-07", next_day="2021-10-08")
        except (LookupError, ValueError, AttributeError):
            made = ""
        if "LFPG" not in made or "2021-10-07" not in made:
            raise ValueError("it needs {airport} and {day}, and may have {next_day}, nothing else")
        return value

    @field_validator("opensky_url", "opensky_token_url", "model_store_endpoint")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError("it is no http or https address")
        if parts.username is not None or parts.query or parts.fragment:
            # An address is shown in messages; a password in it would be too.
            raise ValueError("an address here has no user, password, ? or #")
        return value.rstrip("/")

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError(f"{str(value)!r} names a user without a home folder") from None

    @field_validator("first_hour")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)

    @cached_property
    def artifact_root(self) -> str:
        """Where MLflow writes artifacts: a URI or an absolute path."""
        return self.mlflow_artifacts or str(self.home / "mlflow")


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SkyOpsError: a variable has a value that cannot be used; the message names it.
    """
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        field, *within = (str(part) for part in first["loc"])
        reason = ": ".join([*within, first["msg"].removeprefix("Value error, ")])
        raise SkyOpsError(f"SKYOPS_{field.upper()} cannot be used: {reason}") from None
