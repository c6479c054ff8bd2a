"""What "the champion before" means, and who acts."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime

import pytest

from skyops_assets.arrivals.models import champions
from skyops_assets.arrivals.store.versions import ChampionChange
from skyops_assets.settings import load_settings


def changes(*steps: str) -> list[ChampionChange]:
    """Changes such as ``1>2`` (promoted) and ``2<1`` (rolled back); ``>1`` is the first."""
    made = []
    for number, step in enumerate(steps):
        is_back = "<" in step
        before, after = step.split("<" if is_back else ">")
        made.append(
            ChampionChange(
                change_id=number,
                changed_at=datetime(2026, 11, 21, tzinfo=UTC),
                model_name="m",
                action="rollback" if is_back else "promote",
                is_by_hand=True,
                from_version=before or None,
                to_version=after,
                from_mlflow_run_id=f"run-{before}" if before else None,
                to_mlflow_run_id=f"run-{after}",
                actor="me",
                reason="because",
                decision_id=None,
            )
        )
    return made


@pytest.mark.parametrize(
    ("steps", "champion", "before"),
    [
        ([], "1", None),
        ([">1"], "1", None),
        ([">1", "1>2"], "2", "1"),
        ([">1", "1>2", "2<1"], "1", None),
        # Back and back again goes on backwards, not forth.
        ([">1", "1>2", "2>3", "3<2"], "2", "1"),
        ([">1", "1>2", "2>3", "3<2", "2<1"], "1", None),
        # What was rolled back from is not gone back to.
        ([">1", "1>2", "2<1", "1>3"], "3", "1"),
        # The same version twice.
        ([">1", "1>2", "2>1"], "1", "2"),
        ([">1", "1>2", "2>1", "1<2"], "2", "1"),
        # In force before changes were written down.
        (["4>5"], "5", "4"),
        (["4>5", "5<4"], "4", None),
        # The flag was moved around the audit: the last champion it knows.
        ([">1"], "9", "1"),
    ],
)
def test_the_champion_before(steps: list[str], champion: str, before: str | None) -> None:
    found = champions.champion_before(changes(*steps), f"run-{champion}")
    assert found == (before and (f"run-{before}", before))


def test_the_actor_is_the_setting_or_the_systems_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert champions.actor(load_settings()) == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("SKYOPS_ACTOR", "ops@example.org")
    assert champions.actor(load_settings()) == "ops@example.org"
    monkeypatch.setenv("SKYOPS_ACTOR", " ")
    assert champions.actor(load_settings()) == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert champions.actor(load_settings()) == f"uid {os.getuid()}"
