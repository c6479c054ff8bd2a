"""Policies that are settings: their thresholds, defaults and sources.

Belongs here: the values. Does not: deciding by them (`monitoring.policy`, `reliability.gate`).
"""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RetrainPolicy(BaseModel):
    """The thresholds, each with its source; ``SKYOPS_RETRAIN_POLICY`` names those that differ.

    Of `min_r2` and `max_rmse_min`: a model of LSZH 2019-03 had an R2 of 0.48 to 0.64 and an RMSE
    of 1.5 to 4.4 minutes in each week up to 2020-03.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    skill_floor_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the champion's skill at promotion. Skill below it in two "
            "consecutive windows is a trigger, and the primary alarm. What 0.85 detects, and how "
            "often it gives a false alarm, is in "
            "[monitoring](monitoring.md#false-alarms-and-what-is-found).",
        ),
    ] = 0.85
    min_skill: Annotated[
        float,
        Field(
            lt=1,
            description="The skill floor if the champion's skill at promotion is unknown; the "
            "floor is never lower.",
        ),
    ] = 0.05
    min_r2: Annotated[
        float,
        Field(
            lt=1,
            description="R2 below this, together with drift, triggers a training.",
        ),
    ] = 0.3
    max_rmse_min: Annotated[
        float,
        Field(
            gt=0,
            description="RMSE above this (minutes), together with drift, triggers a training.",
        ),
    ] = 6.0
    max_drift_score: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="A drift score above this counts as drift; one of six feature groups gives "
            "0.17.",
        ),
    ] = 0.15
    drift_alone: Annotated[
        bool,
        Field(
            description="Whether drift alone is a trigger. Off, because traffic often changes "
            "without making the champion worse "
            "([monitoring](monitoring.md#when-a-challenger-is-trained)).",
        ),
    ] = False
    max_age_days: Annotated[
        float | None,
        Field(
            gt=0,
            le=36500,
            description="Days since the champion's last training landing after which a challenger "
            "is trained; `null` means never.",
        ),
    ] = 30
    new_arrivals: Annotated[
        int | None,
        Field(
            ge=1,
            description="Number of landings since the last training set (two weeks of LSZH) that "
            "is a trigger; `null` means never.",
        ),
    ] = 5000
    first_arrivals: Annotated[
        int,
        Field(
            ge=1,
            description="The same without a champion: the gatekeeper needs this many for its test "
            "rows.",
        ),
    ] = 2500
    cool_down_days: Annotated[
        float,
        Field(
            ge=0,
            le=36500,
            description="Days after a retraining by this policy in which only a person can start "
            "another. Less than a week, so that one Monday does not block the next.",
        ),
    ] = 6

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "least_skill" not in given:
            return given
        warnings.warn(
            "`least_skill` is now called `min_skill`.", PendingDeprecationWarning, stacklevel=1
        )
        values = dict(given)
        return {"min_skill": values.pop("least_skill"), **values}

    def skill_floor(self, promoted_skill: float | None) -> float:
        """Below it a window's skill is an alarm."""
        return max(self.min_skill, self.skill_floor_share * (promoted_skill or 0.0))


class ReliabilityPolicy(BaseModel):
    """What an interval or a model of failures has to show before it is recommended.

    ``SKYOPS_RELIABILITY_POLICY`` names the values that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    target_survival: Annotated[
        float,
        Field(
            ge=0.5,
            le=0.999,
            description="Share of the units that should reach a recommended interval or limit "
            "without a failure.",
        ),
    ] = 0.95
    min_failures: Annotated[
        int,
        Field(
            ge=10,
            le=100_000,
            description="Failures of a part below which nothing is recommended; for sensor models, "
            "failed units in each half of the fleet.",
        ),
    ] = 10
    min_tried_lives: Annotated[
        float,
        Field(
            gt=0,
            le=100_000,
            description="Lives after the date of a fit on which an interval must have been tested; "
            "each counts as the part of the interval that it ran.",
        ),
    ] = 10
    min_low_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The lower bound of an interval must be at least this share of it.",
        ),
    ] = 0.5
    fails_within_cycles: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Cycles ahead for which the probability of a failure is predicted.",
        ),
    ] = 30
    lead_cycles: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="Cycles before its failure by which a unit should have reached the limit "
            "from sensor readings: the time to plan a removal.",
        ),
    ] = 10
    longest_life_cycles: Annotated[
        int,
        Field(
            ge=10,
            le=100_000,
            description="Remaining life above which sensor readings carry no information; longer "
            "lives are learned and judged as this value.",
        ),
    ] = 125

    @model_validator(mode="after")
    def _check_horizons(self) -> Self:
        for name in ("fails_within_cycles", "lead_cycles"):
            if getattr(self, name) >= self.longest_life_cycles:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, and must be below longest_life_cycles, "
                    f"{self.longest_life_cycles}"
                )
        return self
