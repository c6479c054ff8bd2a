"""Every setting of SkyOps, read from the environment with the prefix ``SKYOPS_``.

What belongs here: names, defaults, validation. What does not: opening connections,
creating directories, or anything else that touches the world. One file, though a long one: it is
read from top to bottom, as `docs/settings.md` shows it.
"""

from __future__ import annotations

import json
import os
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from skyops_assets import setting_values
from skyops_assets.errors import SkyOpsError
from skyops_assets.policies import ReliabilityPolicy, RetrainPolicy
from skyops_assets.setting_names import check_names, former_values, read_files

PROJECT_ROOT = Path(__file__).resolve().parent.parent

JSON_EXAMPLES = {
    "alert_routes": '{"team:skyops": {"recipients": ["me@example.org"]}}',
    "retrain_policy": '{"max_age_days": 60, "new_arrivals": null}',
    "reliability_policy": '{"target_survival": 0.98, "fails_within_cycles": 50}',
}


MAX_PARTITIONS = 100_000
"""Of one asset, as Dagster advises."""
DEMO_LASTS = timedelta(hours=3)
"""From the first hour that is set where none is."""

PAIRS = (
    ("opensky_client_id", "opensky_client_secret"),
    ("model_store_access_key_id", "model_store_secret_access_key"),
    ("alert_smtp_user", "alert_smtp_password"),
)
"""Settings of which one is nothing without the other."""


class AlertRoute(BaseModel):
    """Where the alerts of one owner go; what is not set here is taken from the general settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_url: Annotated[
        SecretStr | None, Field(description="The owner's webhook. Unset: the general one.")
    ] = None
    recipients: Annotated[
        tuple[str, ...],
        Field(description="The owner's e-mail addresses. Unset: the general recipients."),
    ] = ()


class Settings(BaseSettings):
    """SkyOps' configuration; each field is the environment variable ``SKYOPS_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="SKYOPS_", extra="ignore", frozen=True)

    home: Path = Field(
        PROJECT_ROOT / ".skyops",
        description="Folder of all local state: embedded Postgres, Dagster's files, MLflow's "
        "artifacts, training sets, logs.",
    )
    env: str = Field(
        "dev",
        description="Name of this environment, such as `dev`, `staging` or `prod`: in audit rows, "
        "metrics, MLflow's tags and page titles. A warehouse keeps the name of its first use and "
        "refuses another; see [environments](models.md#environments).",
    )
    store: str | None = Field(
        None,
        description="Folder (an absolute path), or `s3://bucket/prefix`, for training sets, "
        "reports, Data Docs, the dbt docs, MLflow's artifacts and the output of runs; see "
        "[the store](storage.md#the-store-of-files). To change it later, `skyops store move`. "
        "Unset: `SKYOPS_HOME`.",
    )
    store_shared: bool = Field(
        False,
        description="1: the folder of `SKYOPS_STORE` is one and the same on every machine, such as "
        "a network file system or a volume of all containers. Otherwise a launcher other than "
        "`local` needs `s3://`.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Your Postgres (15 or newer) and the warehouse's database in it: "
        "`postgresql://user:password@host:5432/skyops`. SkyOps creates this database and "
        "Dagster's and MLflow's if the user may (`CREATEDB`). For TLS add libpq's options: "
        "`?sslmode=verify-full&sslrootcert=/path/to/root.crt`. Unset: an embedded Postgres.",
    )
    postgres_password: SecretStr | None = Field(
        None,
        description="Password of the user in `SKYOPS_DATABASE_URL`, if the address has none; "
        "any characters.",
    )
    postgres_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of 127.0.0.1 on which the embedded Postgres also accepts users with a "
        "password, such as [the read-only one](connect.md#a-tcp-port-and-the-read-only-user), from "
        "its next start on. 0: none.",
    )
    source_database_url: SecretStr | None = Field(
        None,
        description="Warehouse of the environment from which `skyops model copy` brings a version, "
        "such as `postgresql://user:password@host:5432/skyops_staging`; see "
        "[environments](models.md#environments).",
    )
    source_mlflow_database: str = Field(
        "mlflow", description="Name of MLflow's database on that server."
    )
    source_store: str | None = Field(
        None,
        description="That environment's `SKYOPS_STORE`, or its `SKYOPS_HOME` if it has none: an "
        "absolute path, or `s3://bucket/prefix`.",
    )
    citus: bool = Field(
        False,
        description="1: the warehouse must be a Citus cluster; SkyOps creates the extension if it "
        "is missing. Otherwise SkyOps distributes its tables if the database of "
        "`SKYOPS_DATABASE_URL` has the extension `citus`; see "
        "[distribution](distribution.md#citus).",
    )
    warehouse_url: SecretStr | None = Field(
        None,
        exclude=True,
        description="Set by `skyops` for its child processes: the running warehouse.",
    )
    reader_database_url: SecretStr | None = Field(
        None,
        description="Address of the warehouse for a read-only role, used by `skyops sql` and "
        "dashboards; SkyOps grants the role its rights. Unset: SkyOps creates the role "
        "`<database>_reader` if its user may (`CREATEROLE`); see "
        "[security](security.md#roles-of-the-database).",
    )
    service_database_url: SecretStr | None = Field(
        None,
        description="The same for the service. Unset: SkyOps creates `<database>_service`.",
    )
    dagster_database: str = Field("dagster", description="Name of Dagster's database.")
    mlflow_database: str = Field("mlflow", description="Name of MLflow's database.")
    connect_timeout_s: int = Field(5, ge=1, description="Seconds until a connection attempt fails.")
    wait_for_warehouse_s: int = Field(
        0,
        ge=0,
        description="Seconds to keep trying to reach the server at the start; for containers.",
    )
    run_retention_days: int = Field(
        90,
        ge=1,
        description="Days for which runs, their output and trainings that led to no version are "
        "kept; at most the newest 168 runs of each job.",
    )
    launcher: Literal["local", "celery", "kubernetes"] = Field(
        "local",
        description="Where the runs of schedules, sensors and the UI get their process: `local` in "
        "the code server's container or machine, `celery` on a `skyops worker`, `kubernetes` in a "
        "Job of its own. See [distribution](distribution.md#runs-on-other-machines).",
    )
    celery_broker: SecretStr | None = Field(
        None,
        description="Redis through which runs reach the workers and tell their state: "
        "`redis://:password@host:6379/1`, or `rediss://` for TLS. With `SKYOPS_LAUNCHER=celery`.",
    )
    training_queue: str | None = Field(
        None,
        description="Celery queue of the jobs `retrain` and `retrain_100nm`, such as that of a "
        "larger machine (`skyops worker --queue`). Unset: the queue of all runs. Without Celery it "
        "has no effect.",
    )
    kubernetes_namespace: str = Field(
        "default", description="Namespace of the Jobs of runs, with `SKYOPS_LAUNCHER=kubernetes`."
    )
    kubernetes_image: str | None = Field(
        None,
        description="Image of those Jobs, which is that of the code server. Needed where SkyOps "
        "writes Dagster's instance file, and not Dagster's chart.",
    )
    kubernetes_service_account: str = Field(
        "default", description="Service account of those Jobs; they ask nothing of Kubernetes."
    )
    kubernetes_secrets: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names of Secrets, separated by commas, whose entries those Jobs get as "
        "variables, such as `SKYOPS_DATABASE_URL`.",
    )
    kubernetes_config_maps: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="The same with ConfigMaps, for settings that are no secrets."
    )
    ui_port: int = Field(
        3000, ge=1, le=65535, description="Port of the Dagster UI, on the loopback interface."
    )
    docs_port: int = Field(
        3001, ge=1, le=65535, description="Port of the dbt docs, on the loopback interface."
    )
    ui_url: str | None = Field(
        None,
        description="Where the service and the health check reach the Dagster UI, such as "
        "`http://webserver:3000`. Unset: `SKYOPS_UI_PORT` on this machine.",
    )
    docs_url: str | None = Field(
        None,
        description="Address at which browsers reach the dbt docs, such as "
        "`https://docs.skyops.example.org`: the pages' charts link to their tables there. Unset: "
        "`/dbt` at `SKYOPS_DOCS_PORT` on localhost.",
    )
    service_url: str | None = Field(
        None,
        description="Where the health check reaches the service, such as `http://service:8000`. "
        "Unset: `SKYOPS_SERVICE_PORT` on this machine.",
    )
    service_port: int = Field(
        8000, ge=1, le=65535, description="Port of the service, on the loopback interface."
    )
    public_url: str | None = Field(
        None,
        description="Address at which browsers reach the service, if not "
        "`http://localhost:<port>`: usually a proxy's, such as "
        "`https://skyops.example.org`. See [security](security.md).",
    )
    service_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Additional host names, separated by commas, under which programs reach the "
        "service, such as its container's name. This machine's names and IP addresses are always "
        "accepted; a request with any other `Host` is refused.",
    )
    service_token: SecretStr | None = Field(
        None,
        description="Token in the link that logs a browser in to the service, 32 characters or "
        "more. Unset: a new one at each start, which `skyops up` and `skyops link` print.",
    )
    public_read: bool = Field(
        False,
        description="Whether everyone who can reach the service may read without a key. For a "
        "service behind a proxy with a login.",
    )
    limits_url: SecretStr | None = Field(
        None,
        description="Redis that keeps the request counts of all copies of the service: "
        "`redis://:password@host:6379/0`. Unset: each copy counts its own.",
    )
    predictions_a_minute: int = Field(
        100, ge=1, description="Prediction requests that one API key may make per minute."
    )
    trainings_an_hour: int = Field(
        10, ge=1, description="Jobs (trainings, monitorings) that one API key may start per hour."
    )
    dbt_threads: int = Field(4, ge=1, le=64, description="Models that dbt builds in parallel.")

    watch_airports: Annotated[tuple[str, ...], NoDecode] = Field(
        ("LFPG", "LFPO", "LFPB", "LFOB", "LFPV"),
        description="ICAO codes, separated by commas, for which rings and arrivals are modelled.",
    )
    recording: Path | None = Field(
        None,
        description="Recording, or folder of recordings, that `raw/opensky_states` reads; see "
        "[recordings](recordings.md). `demo`: the demo's recording. Unset: only the present hour "
        "is read, from OpenSky.",
    )
    first_hour: datetime = Field(
        datetime(2021, 10, 7, 12),
        description="First hour that the graph shows, a partition of `raw/opensky_states` (UTC). "
        "Unset: only the demo's three hours. Dagster advises at most 100,000 partitions, eleven "
        "years; positions of earlier hours are loaded and transformed as well.",
    )
    last_hour: datetime | None = Field(
        None,
        description="Last hour that the graph shows (UTC), such as a recording's last. Unset: the "
        "present hour.",
    )
    raw_retention_days: int | None = Field(
        None,
        ge=1,
        description="Whole days before today (UTC) for which positions are kept. After each load "
        "older days are dropped; results computed from them "
        "[stay](transform.md#when-everything-is-rebuilt). Unset: forever.",
    )
    history_airports: Annotated[tuple[str, ...], NoDecode] = Field(
        ("LSZH",),
        description="ICAO codes, separated by commas, whose arrivals `raw/arrivals_history` reads; "
        "see [the history](arrivals_history.md).",
    )
    history_first_day: date = Field(
        date(2019, 3, 1),
        description="First daily partition of `raw/arrivals_history` and `raw/metars` (UTC).",
    )
    asma_reference_year: int | None = Field(
        None,
        ge=1990,
        le=2100,
        description="Year (UTC) whose arrivals give the references of `asma_fixed_daily`; see "
        "[the fixed method](asma.md#the-method-of-a-fixed-year). Unset: each airport's first year "
        "with data.",
    )
    metar_url: str | None = Field(
        None,
        description="Where `raw/metars` reads weather reports: an address, or an absolute path, "
        "with `{airport}`, `{day}` (2021-10-07) and, if needed, `{next_day}`; see "
        "[weather](live.md#weather). Unset: no weather.",
    )
    aircraft_csv: Path | None = Field(
        None,
        description="Aircraft database that `raw/aircraft` reads: CSV with OpenSky's columns "
        "`icao24`, `registration`, `typecode`, `icaoaircrafttype` or `icaoAircraftClass`, "
        "`operator`, `operatoricao`, in any case and order. `icao24` and one of the others are "
        "required. Unset: types are unknown.",
    )
    operator_data: str | None = Field(
        None,
        description="Folder (an absolute path), or `s3://bucket/prefix`, with schedules and "
        "maintenance records; see [operator data](operator_data.md). The bucket's keys, region "
        "and address are AWS' own variables. Unset: there are none.",
    )
    data_mirror: Path | None = Field(
        None,
        description="Folder to read open data from instead of the web, laid out as "
        "`reference/runways.csv` and `arrivals/LSZH-2019-03-01-asma.csv`.",
    )

    opensky_client_id: str | None = Field(
        None,
        description="OpenSky API client, from the account page at opensky-network.org. An account "
        "has ten times the credits, and new positions every 5 s instead of 10. Unset: anonymous.",
    )
    opensky_client_secret: SecretStr | None = Field(None, description="Secret of that API client.")
    opensky_daily_credits: int | None = Field(
        None,
        ge=0,
        description="Credits to spend in a UTC day; polling slows down so that they last. A feeder "
        "has 8,000. Unset: 400 anonymously, 4,000 with an account.",
    )
    opensky_url: str = Field(
        "https://opensky-network.org/api",
        description="Address of OpenSky's REST API; `skyops fake-opensky` prints its own.",
    )
    opensky_token_url: str = Field(
        "https://auth.opensky-network.org/auth/realms/opensky-network/protocol/openid-connect/token",
        description="Address that issues access tokens. A secret is sent over https only, or to "
        "this machine.",
    )
    opensky_timeout_s: float = Field(
        30, gt=0, le=600, description="Seconds until a request to OpenSky fails."
    )
    collect_radius_nm: float = Field(
        105,
        gt=0,
        le=1000,
        description="Radius around each watched airport for which positions are requested, in NM: "
        "the largest ring, 100 NM, plus room for the last fix outside it.",
    )
    collect_interval_s: float | None = Field(
        None,
        gt=0,
        description="Shortest time between two rounds of requests. Unset: 10 anonymously, 5 with "
        "an account; OpenSky has no newer positions before that.",
    )

    raw_max_rejected_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="`few_rows_are_rejected` warns when a larger share of the new rows of the last "
        "24 hours of loads is rejected.",
    )
    raw_min_volume_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="`volume_is_as_usual` warns of an hour with fewer positions than this share of "
        "the usual, or more than its inverse (twice). Usual is the median of the same UTC hour of "
        "the 28 days before, if three of them have positions.",
    )
    raw_max_null_rise: float = Field(
        0.2,
        gt=0,
        le=1,
        description="`nulls_are_as_usual` warns when the share of nulls in a column of an hour's "
        "positions exceeds that of the same UTC hour of the 28 days before by more than this "
        "(0.2: from 10 % to over 30 %).",
    )
    transform_deadline_h: float = Field(
        3,
        gt=0,
        description="`loads_are_transformed` warns of a load that no model contains after this "
        "many hours.",
    )
    champion_max_age_days: float = Field(
        35,
        gt=0,
        description="`champion_has_seen_recent_arrivals` warns when the champion's training data "
        "end more than this many days before the latest arrivals.",
    )
    min_outcome_share: float = Field(
        0.95,
        ge=0,
        le=1,
        description="`predictions_get_outcomes` warns when a smaller share of the predictions "
        "older than two hours has an outcome.",
    )
    min_disk_days: float = Field(
        14,
        ge=0,
        description="`disk_has_room` warns when the disk of the server's data, if it is this "
        "machine's, has room for fewer days of positions.",
    )
    min_disk_gb: float = Field(
        5,
        ge=0,
        description="`disk_has_room` warns when fewer gigabytes are free on that disk; so does "
        "`skyops health`, which also checks the disk of `SKYOPS_HOME`.",
    )

    recipe: Literal["hgb-l1", "ridge", "extra-trees", "random-forest"] = Field(
        "hgb-l1",
        description="Recipe that fits the challenger: `hgb-l1`, `ridge`, `extra-trees` "
        "or `random-forest`; see [recipes](arrivals_model.md#recipes).",
    )
    search_trials: int = Field(
        2,
        ge=0,
        description="Number of candidates a search tries in addition to the recipe's own "
        "parameters, from 5,000 training arrivals on; `0`: none. Part of a training run's "
        "identity.",
    )
    learn_from_simulated: bool = Field(
        False,
        description="Whether models are trained and evaluated on flights with simulated "
        "positions, from `skyops fake-opensky` and `skyops simulate`; see "
        "[live](live.md#without-an-account-without-a-network).",
    )
    retrain_policy: Annotated[RetrainPolicy, NoDecode] = Field(
        RetrainPolicy(),
        description="JSON: thresholds of the "
        "[retraining policy](monitoring.md#when-a-challenger-is-trained) that differ from its "
        'defaults, such as `{"max_age_days": 60, "new_arrivals": null}`.',
    )
    reliability_policy: Annotated[ReliabilityPolicy, NoDecode] = Field(
        ReliabilityPolicy(),
        description="JSON: thresholds for [recommended intervals and models of failures](lives.md) "
        'that differ from the defaults, such as `{"target_survival": 0.98}`.',
    )
    actor: str | None = Field(
        None,
        description="Name that `audit.champion_changes` records for manual changes; see "
        "[models](models.md). Unset: the system's user.",
    )
    mlflow_artifacts: str | None = Field(
        None,
        description="Folder or URI where MLflow keeps models and plots. Unset: `mlflow` in "
        "`SKYOPS_STORE`.",
    )
    model_store: str | None = Field(
        None,
        description="Folder (an absolute path), or `s3://bucket/prefix`, to which each new "
        "champion is exported; see [model store](models.md#model-store). Unset: no export.",
    )
    model_store_endpoint: str | None = Field(
        None,
        description="Address of the model store's S3 server, such as "
        "`https://minio.example.org:9000`, if it is not the server of the other buckets. Unset: "
        "`AWS_ENDPOINT_URL`, or else AWS.",
    )
    model_store_region: str | None = Field(
        None, description="Region of that bucket. Unset: `AWS_REGION`, or else AWS' profile."
    )
    model_store_access_key_id: SecretStr | None = Field(
        None,
        description="Access key of that bucket. Unset: AWS' own variables, profile or role.",
    )
    model_store_secret_access_key: SecretStr | None = Field(None, description="Secret of that key.")

    alert_webhook_url: SecretStr | None = Field(
        None,
        description='Address that receives alerts as Slack\'s JSON, `{"text": ...}`; a secret. See '
        "[alerts](operations.md#alerts). Unset: none are sent there.",
    )
    alert_smtp_host: str | None = Field(
        None, description="Mail server for alerts. Unset: no mail is sent."
    )
    alert_smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    alert_smtp_starttls: bool = Field(
        True,
        description="Whether mail is sent over STARTTLS; on port 465 it is always sent over TLS.",
    )
    alert_smtp_user: str | None = Field(
        None, description="User at the mail server. Unset: no login."
    )
    alert_smtp_password: SecretStr | None = Field(None, description="Password of that user.")
    alert_sender: str | None = Field(
        None, description="Sender of alerts. Unset: `skyops@` the mail server."
    )
    alert_recipients: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="E-mail addresses for alerts, separated by commas."
    )
    alert_routes: Annotated[dict[str, AlertRoute], NoDecode] = Field(
        {},
        description="JSON: an owner's own addresses, such as "
        '`{"team:skyops": {"webhook_url": "https://...", "recipients": ["me@example.org"]}}`.',
    )
    alert_warn_checks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Checks, separated by commas, whose warnings are alerts as well.",
    )
    alert_r2_floor: float | None = Field(
        None,
        lt=1,
        description="R2 of a monitored window below which an alert is sent. Unset: never.",
    )
    pushgateway_url: SecretStr | None = Field(
        None,
        description="Pushgateway that receives the results of commands and of daily and weekly "
        "jobs, such as `http://localhost:9091`, with `user:password@` if it needs a login; a "
        "secret. See [metrics](metrics.md#tasks-that-end). Unset: results are not pushed.",
    )

    @property
    def ui_address(self) -> str:
        """Where the Dagster UI answers."""
        return (self.ui_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")

    @property
    def docs_address(self) -> str:
        """Where browsers reach the dbt docs."""
        return (self.docs_url or f"http://localhost:{self.docs_port}/dbt").rstrip("/")

    @property
    def service_address(self) -> str:
        """Where the service answers."""
        return (self.service_url or f"http://127.0.0.1:{self.service_port}").rstrip("/")

    @field_validator("watch_airports", "history_airports", mode="before")
    @classmethod
    def _split_airports(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator(
        "alert_recipients",
        "alert_warn_checks",
        "service_hosts",
        "kubernetes_secrets",
        "kubernetes_config_maps",
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("alert_routes", "retrain_policy", "reliability_policy", mode="before")
    @classmethod
    def _read_json(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value.strip() else {}
        except ValueError:
            # Without the decoder's words: they quote what they could not read.
            example = JSON_EXAMPLES[str(info.field_name)]
            raise ValueError(f"it is not JSON such as {example}") from None

    @field_validator("alert_webhook_url", "pushgateway_url")
    @classmethod
    def _check_secret_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("it is not an http or https address")
        return value

    @field_validator("watch_airports", "history_airports")
    @classmethod
    def _check_airports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return setting_values.airports(value)

    @field_validator(
        "aircraft_csv",
        "asma_reference_year",
        "data_mirror",
        "database_url",
        "source_database_url",
        "source_store",
        "postgres_password",
        "reader_database_url",
        "service_database_url",
        "public_url",
        "service_token",
        "limits_url",
        "celery_broker",
        "training_queue",
        "kubernetes_image",
        "recording",
        "actor",
        "metar_url",
        "operator_data",
        "store",
        "mlflow_artifacts",
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
        "pushgateway_url",
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

    @field_validator("env", mode="before")
    @classmethod
    def _check_env(cls, value: Any) -> Any:
        # Empty is unset, as above.
        text = str(value).strip()
        return setting_values.environment(text) if text else cls.model_fields["env"].default

    @field_validator("store", "source_store", "model_store", "operator_data")
    @classmethod
    def _check_place(cls, value: str | None) -> str | None:
        return value and setting_values.place(value)

    @field_validator("metar_url")
    @classmethod
    def _check_metar_url(cls, value: str | None) -> str | None:
        return value and setting_values.metar_url(value)

    @field_validator("training_queue")
    @classmethod
    def _check_queue(cls, value: str | None) -> str | None:
        return value and setting_values.queue(value)

    @field_validator("service_token", "limits_url", "celery_broker")
    @classmethod
    def _check_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        check = {
            "service_token": setting_values.token,
            "limits_url": setting_values.redis,
            "celery_broker": setting_values.redis,
        }
        if value:
            check[str(info.field_name)](value.get_secret_value())
        return value

    @field_validator(
        "opensky_url",
        "opensky_token_url",
        "model_store_endpoint",
        "docs_url",
        "public_url",
        "service_url",
        "ui_url",
    )
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        return None if value is None else setting_values.address(value)

    @field_validator("home")
    @classmethod
    def _one_name_for_home(cls, value: Path) -> Path:
        try:
            # Not through links: who uses a home is found by its name.
            return Path(os.path.realpath(value.expanduser()))
        except RuntimeError:
            raise ValueError(f"{str(value)!r} names a user without a home folder") from None

    @field_validator("first_hour")
    @classmethod
    def _check_first_hour(cls, value: datetime) -> datetime:
        return setting_values.hour(value)

    @field_validator("last_hour")
    @classmethod
    def _check_last_hour(cls, value: datetime | None) -> datetime | None:
        return None if value is None else setting_values.hour(value)

    @field_validator("history_first_day")
    @classmethod
    def _check_first_day(cls, value: date) -> date:
        return setting_values.day(value)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        for name, secret in PAIRS:
            given = [one for one in (name, secret) if getattr(self, one) is not None]
            if len(given) == 1:
                (lacking,) = {name, secret} - set(given)
                raise ValueError(
                    f"SKYOPS_{given[0].upper()} is set and SKYOPS_{lacking.upper()} is not: set "
                    "both, or neither."
                )
        return self

    @model_validator(mode="after")
    def _check_hours(self) -> Self:
        if self.last_hour is not None and self.last_hour < self.first_hour:
            raise ValueError(
                f"SKYOPS_LAST_HOUR ({self.last_hour:%Y-%m-%dT%H:%M}) is before SKYOPS_FIRST_HOUR "
                f"({self.first_hour:%Y-%m-%dT%H:%M})."
            )
        return self

    @property
    def shows_the_demo(self) -> bool:
        """Whether no hours are set, so that the graph has those of the demo."""
        return not {"first_hour", "last_hour"} & self.model_fields_set

    @property
    def hours_end(self) -> datetime | None:
        """When the last hour that the graph shows is over (UTC, no zone); None: it goes on."""
        if self.shows_the_demo:
            return self.first_hour + DEMO_LASTS
        return None if self.last_hour is None else self.last_hour + timedelta(hours=1)

    @property
    def store_root(self) -> str:
        """Where files are kept beside the tables: an absolute path, or ``s3://bucket/prefix``."""
        return (self.store or str(self.home)).rstrip("/")

    @property
    def artifact_root(self) -> str:
        """Where MLflow writes artifacts: a URI or an absolute path."""
        return self.mlflow_artifacts or f"{self.store_root}/mlflow"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SkyOpsError: a variable has a value that cannot be used, or is nearly a setting; the
            message names it.
    """
    try:
        read_files(os.environ, Settings.model_fields)
        check_names(os.environ, Settings.model_fields)
    except ValueError as error:
        raise SkyOpsError(str(error)) from None
    try:
        return Settings(**former_values(os.environ))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise SkyOpsError(said) from None
        field, *within = (str(part) for part in first["loc"])
        reason = ": ".join([*within, said])
        name = f"SKYOPS_{field.upper()}"
        value = os.environ.get(name)
        kind = str(Settings.model_fields[field].annotation)
        # What could hold a password or a webhook is not shown again, nor what is told already.
        is_private = "Secret" in kind or "Route" in kind or value is None or "://" in value
        shown = "" if is_private or repr(value) in reason else f"; it is {value!r}"
        raise SkyOpsError(f"{name} cannot be used: {reason}{shown}") from None


def _too_many_hours(settings: Settings, now: datetime) -> list[str]:
    """What is to be said where the graph has more hours than Dagster is made for."""
    end = settings.hours_end or now
    hours = int((end - settings.first_hour) / timedelta(hours=1))
    if hours <= MAX_PARTITIONS:
        return []
    first = end - timedelta(hours=MAX_PARTITIONS)
    return [
        f"SKYOPS_FIRST_HOUR ({settings.first_hour:%Y-%m-%dT%H:%M}) gives raw/opensky_states "
        f"{hours:,} partitions; Dagster advises at most {MAX_PARTITIONS:,}, as its pages and its "
        f"daemon grow slow. Set it to {first:%Y-%m-%d} or later: earlier hours are loaded and "
        "transformed all the same, the graph only does not show them."
    ]


def notices() -> list[str]:
    """Notes on settings that are accepted but deserve attention.

    The command line prints it, once: a warning that is seen would come from each child as well.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", PendingDeprecationWarning)
        settings = load_settings()
    return [
        *(str(one.message) for one in found),
        *_too_many_hours(settings, datetime.now(UTC).replace(tzinfo=None)),
        *(
            f"{name} is not a SkyOps setting and has no effect (docs/settings.md lists them)."
            for name in check_names(os.environ, Settings.model_fields)
        ),
    ]
