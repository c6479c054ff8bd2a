"""Plots and tables exist for any number of arrivals, and say how many."""

from __future__ import annotations

import numpy as np
import pytest

from skyops_assets.arrivals.evaluation import metrics, report
from skyops_assets.arrivals.gate import evidence, policy
from skyops_assets.arrivals.gate.report import decision_markdown
from tests.support.arrival_frames import synthetic


@pytest.mark.parametrize("rows", [0, 1, 2, 300])
def test_plots_for_any_number_of_arrivals(rows: int) -> None:
    rng = np.random.default_rng(0)
    actual = rng.normal(15, 3, rows)
    predicted = actual + rng.normal(0, 1, rows)
    images = [
        report.residual_plot(actual, predicted, "Residuals"),
        report.fit_plot(actual, predicted, "Predicted against actual"),
        report.importance_plot({"a": 0.5, "b": -0.1} if rows else {}, rows, "Importance"),
        report.candidate_plot(["m", "b"][:rows], [1.0, 2.0][:rows], rows, "Candidates"),
    ]
    assert all(image.startswith(b"\x89PNG") and len(image) > 3000 for image in images)


def test_the_same_numbers_give_the_same_picture() -> None:
    values = np.arange(5.0)
    assert report.fit_plot(values, values, "x") == report.fit_plot(values, values, "x")


def test_the_evaluation_table_shows_a_dash_for_what_is_unknown() -> None:
    test = synthetic(3, hours=0.01)
    truth = test["transit_min"].to_numpy()
    found = metrics.evaluate(test, {"baseline:b": truth + 2}, ("m:1", truth + 1))
    text = report.evaluation_markdown(found)
    assert "| m:1 | 3 | 1.00 | 1.00 |" in text
    assert "| +50.0% | - |" in text
    assert "None" not in text
    empty = metrics.evaluate(synthetic(0), {"baseline:b": np.empty(0)})
    assert "| baseline:b | 0 | - | - | - | - | - | - | - | - | - |" in report.evaluation_markdown(
        empty
    )


def test_the_decision_table_shows_each_rule() -> None:
    nothing = evidence.Evidence(
        None, "0 arrivals", 0, 0, None, None, None, None, None, None, None, None, False, False
    )
    text = decision_markdown(policy.decide(nothing))
    assert text.startswith("**Not promoted**")
    assert "| **fail** | technical | trained | no challenger: 0 arrivals |" in text
