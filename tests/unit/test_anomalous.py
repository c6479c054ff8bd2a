"""Who is strange follows from the flights, not from a share; and it is said why."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from skyops_assets.anomalous import models, plots
from skyops_assets.anomalous.shapes import NAMES, SHAPES, as_stored, compared

USUAL = {
    "direct_share": (0.9, 0.03), "returned_km": (3, 1), "made_good_mps": (180, 15),
    "turned_deg": (200, 50), "circle_count": (0.3, 0.1), "revisit_count": (0, 0),
    "mean_height_m": (7000, 800), "height_spread_m": (3000, 300), "mean_speed_mps": (190, 15),
    "speed_spread_mps": (50, 5), "level_share": (0.5, 0.1), "low_min": (4, 1),
    "undulation_m": (20, 10), "discontinued_count": (0, 0),
}  # fmt: skip
CIRCLING = {"turned_deg": 4000.0, "circle_count": 9.0, "revisit_count": 40.0}


def flights(number: int, seed: int = 0) -> pd.DataFrame:
    luck = np.random.default_rng(seed)
    return pd.DataFrame(
        {name: luck.normal(middle, spread, number) for name, (middle, spread) in USUAL.items()}
    )[list(NAMES)]


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    return models.scores(models.fit(frame), frame)


def test_where_all_flights_are_of_a_kind_none_is_strange() -> None:
    assert not scored(flights(800))["is_anomalous"].any()
    alike = pd.concat([flights(1)] * 200, ignore_index=True)
    assert not scored(alike)["is_anomalous"].any()


@pytest.mark.parametrize("number", [1, 9])
def test_as_many_are_strange_as_are_unlike_the_others(number: int) -> None:
    frame = flights(400)
    frame.loc[: number - 1, list(CIRCLING)] = list(CIRCLING.values())
    found = scored(frame)
    assert set(found.index[found["is_anomalous"]]) == set(range(number))
    assert (2 * found["anomaly_score"] == found["isolation_score"] + found["cluster_score"]).all()


def test_what_a_hundred_flights_do_is_no_longer_strange() -> None:
    frame = flights(400)
    frame.loc[:99, list(CIRCLING)] = list(CIRCLING.values())
    assert not scored(frame)["is_anomalous"].any()


def test_the_same_flights_have_the_same_scores_to_the_bit() -> None:
    frame = flights(300)
    pd.testing.assert_frame_equal(scored(frame), scored(frame.copy()), check_exact=True)


def test_a_reason_is_a_shape_that_is_unusual() -> None:
    frame = flights(400)
    frame.loc[0, "low_min"] = 90
    frame.loc[1, list(CIRCLING)] = list(CIRCLING.values())
    [low, circling] = models.reasons(models.fit(frame), frame.head(2))
    assert low[0]["shape"] == "low_min"
    assert low[0]["words"] == "90 minutes below 600 m (usually 4)"
    assert low[0]["part"] > 0.4
    assert {one["shape"] for one in circling} <= set(CIRCLING)
    assert [one["part"] for one in circling] == sorted(one["part"] for one in circling)[::-1]


def test_what_is_not_known_of_a_flight_makes_it_not_strange() -> None:
    frame = flights(300)
    frame.loc[:50, ["mean_height_m", "height_spread_m", "low_min"]] = np.nan
    frame["mean_speed_mps"] = np.nan
    fitted = models.fit(frame)
    found = models.scores(fitted, frame)
    assert found.notna().all().all()
    assert not found["is_anomalous"].any()
    shapes = {one["shape"] for each in models.reasons(fitted, frame.head(50)) for one in each}
    assert shapes.isdisjoint({"mean_height_m", "height_spread_m", "low_min", "mean_speed_mps"})


def test_compared_values_are_told_as_they_were() -> None:
    frame = flights(5).abs()
    for shape, values in zip(SHAPES, compared(frame).T, strict=True):
        assert [as_stored(shape, one) for one in values] == pytest.approx(
            frame[shape.name].tolist()
        )
    assert (compared(frame.assign(low_min=-1))[:, NAMES.index("low_min")] == 0).all()


def test_the_picture_stays_small_and_crosses_the_date_line() -> None:
    from PIL import Image

    luck = np.random.default_rng(1)
    way = pd.DataFrame(
        {
            "latitude_deg": 60 + luck.normal(0, 0.3, 3000).cumsum() / 30,
            "longitude_deg": (179.9 + luck.normal(0, 0.3, 3000).cumsum() / 30 + 180) % 360 - 180,
        }
    )
    png = plots.ways([(f"ODD{n}: 3.0", way) for n in range(6)])
    assert len(png) < 30_000
    assert Image.open(io.BytesIO(png)).size[0] > 500
    assert png == plots.ways([(f"ODD{n}: 3.0", way) for n in range(6)])
