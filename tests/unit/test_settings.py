"""Settings: a bad value is one clear sentence that names its variable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest

from skyops_assets.arrivals.learning.recipes import RECIPES
from skyops_assets.errors import SkyOpsError
from skyops_assets.monitoring.policy import RetrainPolicy
from skyops_assets.reporting.settings_page import settings_page
from skyops_assets.runtime import check_airports
from skyops_assets.setting_names import OTHERS
from skyops_assets.settings import PROJECT_ROOT, AlertRoute, Settings, load_settings, notices


def test_with_nothing_set_state_lies_in_the_project_and_the_warehouse_is_embedded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SKYOPS_DATA_MIRROR", raising=False)
    settings = load_settings()
    assert settings.home == PROJECT_ROOT / ".skyops"
    assert settings.database_url is None
    assert settings.data_mirror is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SKYOPS_WATCH_AIRPORTS", "LFPG,paris", "'paris' is not an ICAO airport code"),
        ("SKYOPS_WATCH_AIRPORTS", "LFPG,", "'' is not an ICAO airport code"),
        ("SKYOPS_WATCH_AIRPORTS", "", "'' is not an ICAO airport code"),
        ("SKYOPS_WATCH_AIRPORTS", "LFP'", '"LFP\'" is not an ICAO airport code'),
        ("SKYOPS_ENV", "pro d", "it is not a name such as staging"),
        ("SKYOPS_ENV", "prod\n-", "it is not a name such as staging"),
        ("SKYOPS_ENV", "a" * 31, "up to 30 letters and digits, with hyphens between"),
        ("SKYOPS_RECIPE", "ridg", "'hgb-l1', 'ridge', 'extra-trees' or 'random-forest'"),
        ("SKYOPS_DBT_THREADS", "1000", "less than or equal to 64"),
        ("SKYOPS_FIRST_HOUR", "2099-01-01", "2099-01-01 is before 2000 or in the future"),
        ("SKYOPS_FIRST_HOUR", "2021-10-07T12:30", "not a whole hour"),
        ("SKYOPS_HISTORY_FIRST_DAY", "0001-01-01", "before 2000"),
        ("SKYOPS_UI_PORT", "99999", "less than or equal to 65535"),
        ("SKYOPS_DOCS_PORT", "zero", "valid integer"),
        ("SKYOPS_CONNECT_TIMEOUT_S", "0", "greater than or equal to 1"),
        ("SKYOPS_FIRST_HOUR", "yesterday", "valid datetime"),
        ("SKYOPS_OPENSKY_URL", "opensky-network.org", "not an http or https address"),
        ("SKYOPS_OPENSKY_URL", "https://u:p@opensky-network.org", "has no user, password"),
        ("SKYOPS_OPENSKY_TOKEN_URL", "https://[", "not an http or https address"),
        ("SKYOPS_OPENSKY_DAILY_CREDITS", "-1", "greater than or equal to 0"),
        ("SKYOPS_OPENSKY_TIMEOUT_S", "0", "greater than 0"),
        ("SKYOPS_HISTORY_AIRPORTS", "LSZH,zurich", "'zurich' is not an ICAO airport code"),
        ("SKYOPS_METAR_URL", "example.org/{airport}/{day}", "nor a path that begins with /"),
        ("SKYOPS_METAR_URL", "https://example.org/{airport}?key=hidden", "needs {airport} and"),
        ("SKYOPS_METAR_URL", "https://example.org/{airport}/{day}/{hour}", "needs {airport} and"),
        ("SKYOPS_METAR_URL", "/data/{airport}/{day", "needs {airport} and"),
        ("SKYOPS_HISTORY_FIRST_DAY", "march", "valid date"),
        ("SKYOPS_RETRAIN_POLICY", "max_age_days=60", 'it is not JSON such as {"max_age_days": 60'),
        ("SKYOPS_RETRAIN_POLICY", "[60]", "valid dictionary"),
        ("SKYOPS_RETRAIN_POLICY", '{"max_age": 60}', "used: max_age: Extra inputs"),
        ("SKYOPS_RETRAIN_POLICY", '{"max_age_days": 0}', "used: max_age_days: Input should be gr"),
        ("SKYOPS_RETRAIN_POLICY", '{"skill_floor_share": 85}', "less than or equal to 1"),
        ("SKYOPS_RETRAIN_POLICY", '{"max_age_days": Infinity}', "finite number"),
        ("SKYOPS_RETRAIN_POLICY", '{"cool_down_days": 1e10}', "less than or equal to 36500"),
        ("SKYOPS_HOME", "~nobody-of-this-name/x", "user without a home folder"),
        ("SKYOPS_MODEL_STORE", "store", "must begin with / or be s3://"),
        ("SKYOPS_OPERATOR_DATA", "ops", "must begin with / or be s3://"),
        ("SKYOPS_MODEL_STORE", "s3://", "neither a folder nor s3://"),
        ("SKYOPS_MODEL_STORE", "gs://bucket/x", "neither a folder nor s3://"),
        ("SKYOPS_MODEL_STORE", "s3://key:hidden@bucket/x", "neither a folder nor s3://"),
        ("SKYOPS_MODEL_STORE_ENDPOINT", "minio:9000", "not an http or https address"),
        ("SKYOPS_MODEL_STORE_ENDPOINT", "http://key:hidden@minio", "has no user, password"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SkyOpsError) as caught:
        load_settings()
    message = str(caught.value)
    assert message.startswith(f"{name} cannot be used: ")
    assert said in message
    assert "\n" not in message and "hidden" not in message


def test_airports_are_separated_by_commas_and_spaces_and_capitals_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LSZH, egll ,EHam")
    assert load_settings().watch_airports == ("LSZH", "EGLL", "EHAM")


@pytest.mark.parametrize(
    ("given", "name"), [("", "dev"), (" prod ", "prod"), ("eu-west-2", "eu-west-2")]
)
def test_the_environment_has_a_short_name(
    monkeypatch: pytest.MonkeyPatch, given: str, name: str
) -> None:
    assert load_settings().env == "dev"
    monkeypatch.setenv("SKYOPS_ENV", given)
    assert load_settings().env == name


def test_an_empty_account_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker compose passes what is not set as an empty variable."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "DAILY_CREDITS"):
        monkeypatch.setenv(f"SKYOPS_OPENSKY_{name}", "")
    settings = load_settings()
    assert settings.opensky_client_id is settings.opensky_client_secret is None
    assert settings.opensky_daily_credits is None


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ("OPENSKY_CLIENT_ID", "OPENSKY_CLIENT_SECRET"),
        ("OPENSKY_CLIENT_SECRET", "OPENSKY_CLIENT_ID"),
        ("MODEL_STORE_ACCESS_KEY_ID", "MODEL_STORE_SECRET_ACCESS_KEY"),
        ("ALERT_SMTP_USER", "ALERT_SMTP_PASSWORD"),
    ],
)
def test_one_of_two_that_belong_together_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, given: str, lacking: str
) -> None:
    monkeypatch.setenv(f"SKYOPS_{given}", "hidden")
    with pytest.raises(SkyOpsError, match=f"^SKYOPS_{given} is set and SKYOPS_{lacking} is not:"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SKYOPS_WATCH_AIRPORT", "SKYOPS_WATCH_AIRPORTS"),
        ("SKYOPS_OPENSKY_CLIENTID", "SKYOPS_OPENSKY_CLIENT_ID"),
        ("skyops_homes", "SKYOPS_HOME"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "value")
    with pytest.raises(SkyOpsError, match=f"^{name} is not a setting: did you mean {meant}[?]$"):
        load_settings()


def test_an_unknown_name_is_warned_of_and_those_of_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in {name.removesuffix("_FILE") for name in (*OTHERS, *runtime_names())}:
        monkeypatch.setenv(name, "5432")
    monkeypatch.setenv("SKYOPS_CELERY_BROKER", "redis://h:5432/0")
    assert notices() == []
    monkeypatch.setenv("SKYOPS_FAVOURITE_COLOUR", "blue")
    (notice,) = notices()
    assert notice.startswith("SKYOPS_FAVOURITE_COLOUR is not a SkyOps setting")


def test_a_setting_may_be_given_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As containers get secrets; what is started from here has the value."""
    file = tmp_path / "webhook"
    file.write_text("https://hooks.example.org/hidden\n")
    monkeypatch.setenv("SKYOPS_ALERT_WEBHOOK_URL_FILE", str(file))
    monkeypatch.setenv("SKYOPS_ALERT_WEBHOOK_URL", "")
    url = load_settings().alert_webhook_url
    assert url
    assert url.get_secret_value() == os.environ["SKYOPS_ALERT_WEBHOOK_URL"]
    assert os.environ["SKYOPS_ALERT_WEBHOOK_URL"] == "https://hooks.example.org/hidden"
    assert load_settings().alert_webhook_url == url


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "which cannot be read by user .*: No such file or directory"),
        (b"\xff\xfe", "which cannot be read by user .*: it is not text"),
        (b" \n", "which is empty: write the value into it"),
    ],
)
def test_a_file_of_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SKYOPS_SERVICE_TOKEN_FILE", str(file))
    with pytest.raises(SkyOpsError, match=f"SKYOPS_SERVICE_TOKEN_FILE names '{file}', {said}"):
        load_settings()


def test_a_setting_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYOPS_POSTGRES_PASSWORD", "hidden")
    monkeypatch.setenv("SKYOPS_POSTGRES_PASSWORD_FILE", "/run/secrets/postgres_password")
    with pytest.raises(SkyOpsError) as error:
        load_settings()
    assert str(error.value) == (
        "SKYOPS_POSTGRES_PASSWORD and SKYOPS_POSTGRES_PASSWORD_FILE are both set: set one of them."
    )


def test_a_warning_of_a_setting_is_the_command_lines_to_print() -> None:
    """And not each of its child processes': there are five of `skyops up` alone."""
    code = "from skyops_assets.settings import load_settings; load_settings()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SKYOPS_FAVOURITE_COLOUR": "blue", "SKYOPS_LEAST_DISK_GB": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


def test_more_hours_than_dagster_is_made_for_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYOPS_FIRST_HOUR", "2010-01-01T00:00")
    monkeypatch.setenv("SKYOPS_LAST_HOUR", "2021-05-29T15:00")
    assert notices() == []
    monkeypatch.setenv("SKYOPS_LAST_HOUR", "2021-05-29T16:00")
    (told,) = notices()
    assert told.startswith(
        "SKYOPS_FIRST_HOUR (2010-01-01T00:00) gives raw/opensky_states 100,001 partitions"
    )
    assert "Set it to 2010-01-01 or later" in told


def runtime_names() -> set[str]:
    """The variables of ours that `skyops` sets for what it starts, and docker/ hands in."""
    found: set[str] = set()
    for file in (
        "skyops_assets/runtime.py",
        "skyops_assets/transform/dbt.py",
        "dbt_project/profiles.yml",
        "docker/compose.yaml",
        "docker/.env.example",
    ):
        found |= set(re.findall(r"SKYOPS_[A-Z_]+[A-Z](?!_)", (PROJECT_ROOT / file).read_text()))
    return found - {f"SKYOPS_{name.upper()}" for name in Settings.model_fields}


def test_the_recipes_are_those_that_there_are() -> None:
    assert get_args(Settings.model_fields["recipe"].annotation) == tuple(RECIPES)


def test_airports_that_no_list_has_are_refused() -> None:
    check_airports(Settings(watch_airports=("EHAM",)))
    for name in ("watch_airports", "history_airports"):
        with pytest.raises(SkyOpsError, match=f"SKYOPS_{name.upper()} has unknown .* ZZZZ"):
            check_airports(Settings(**{name: ("LFPG", "ZZZZ")}))


def test_a_relative_home_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYOPS_HOME", "state")
    settings = load_settings()
    assert settings.home == tmp_path / "state"
    assert settings.artifact_root == str(tmp_path / "state" / "mlflow")


@pytest.mark.parametrize("given", ["2021-10-07T14:00:00+02:00", "2021-10-07T12:00:00Z"])
def test_the_first_hour_is_utc_whatever_offset_it_is_given_with(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("SKYOPS_FIRST_HOUR", given)
    assert load_settings().first_hour == datetime(2021, 10, 7, 12)


def test_a_password_in_the_settings_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYOPS_DATABASE_URL", "postgresql://u:hunter2@host/skyops")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("value", "days", "arrivals"),
    [("", 30, 5000), ('{"max_age_days": 60, "new_arrivals": null}', 60, None)],
)
def test_the_retraining_policy_takes_what_is_not_its_default(
    monkeypatch: pytest.MonkeyPatch, value: str, days: float, arrivals: int | None
) -> None:
    monkeypatch.setenv("SKYOPS_RETRAIN_POLICY", value)
    policy = load_settings().retrain_policy
    assert (policy.max_age_days, policy.new_arrivals) == (days, arrivals)
    assert policy.skill_floor_share == 0.85


def test_the_page_of_settings_is_what_the_settings_say() -> None:
    page = PROJECT_ROOT / "docs" / "settings.md"
    assert page.read_text() == settings_page(), "docs/settings.md is stale: run `make docs`"


def test_every_setting_says_what_it_does() -> None:
    """A field without a description would be an empty cell of docs/settings.md."""
    models = (Settings, AlertRoute, RetrainPolicy)
    fields = [item for model in models for item in model.model_fields.items()]
    assert not [name for name, field in fields if not field.description]


@pytest.mark.parametrize(
    ("former", "name"),
    [
        ("SKYOPS_RAW_LEAST_VOLUME_SHARE", "raw_min_volume_share"),
        ("SKYOPS_LEAST_OUTCOME_SHARE", "min_outcome_share"),
        ("SKYOPS_LEAST_DISK_DAYS", "min_disk_days"),
        ("SKYOPS_LEAST_DISK_GB", "min_disk_gb"),
    ],
)
def test_a_former_name_still_sets_a_value_and_says_what_it_is_called_now(
    monkeypatch: pytest.MonkeyPatch, former: str, name: str
) -> None:
    present = f"SKYOPS_{name.upper()}"
    monkeypatch.setenv(former, "0.25")
    with pytest.warns(PendingDeprecationWarning, match=f"{former} is now called {present}"):
        assert getattr(load_settings(), name) == 0.25
    monkeypatch.setenv(present, "0.75")
    with pytest.warns(PendingDeprecationWarning):
        assert getattr(load_settings(), name) == 0.75


def test_a_former_name_within_the_policy_still_sets_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SKYOPS_RETRAIN_POLICY", '{"least_skill": 0.2}')
    with pytest.warns(PendingDeprecationWarning, match="`least_skill` is now called `min_skill`"):
        assert load_settings().retrain_policy.min_skill == 0.2
