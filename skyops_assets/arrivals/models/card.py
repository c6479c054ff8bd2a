"""The model card: what a version predicts, from what, how well, and what became of it.

Belongs here: gathering what the warehouse holds of a version, and writing it as Markdown. Does
not: measuring anything. What was not measured is said so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning import fit
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store import decisions, evaluations, training, versions
from skyops_assets.arrivals.store.training import TrainingRun, TrainingSet
from skyops_assets.arrivals.store.versions import ChampionChange, ModelCopy, ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.reporting.markdown import number, table

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from skyops_assets.warehouse.connection import Warehouse

UNKNOWN = "not measured"


@dataclass(frozen=True)
class VersionRecord:
    """All that the warehouse holds of a version.

    `row` is its line of `store.list_versions`; `candidates` are those of its evaluation, itself
    among them; `changes` those that it became champion by, or stopped being it.
    """

    version: ModelVersion
    row: dict[str, Any]
    run: TrainingRun
    training_set: TrainingSet | None
    candidates: tuple[dict[str, Any], ...]
    decision: dict[str, Any] | None
    changes: tuple[ChampionChange, ...]
    slices: tuple[dict[str, Any], ...] = ()
    copy: ModelCopy | None = None


def publish(warehouse: Warehouse, client: MlflowClient, version: ModelVersion) -> str:
    """Write the card again, keep it in MLflow with the version's provenance, and return it.

    Raises:
        SkyOpsError: the warehouse or MLflow has the version's run no more.
    """
    facts = gather(warehouse, version)
    text = markdown(facts)
    tags = {"fingerprint": version.fingerprint, "training_run_id": version.training_run_id}
    if facts.decision:
        tags["decision_id"] = str(facts.decision["decision_id"])
        tags["decision"] = "promoted" if facts.decision["is_promoted"] else "not promoted"
    registry.log_card(
        client, version.model_name, version.version, version.mlflow_run_id, text=text, tags=tags
    )
    return text


def gather(warehouse: Warehouse, version: ModelVersion) -> VersionRecord:
    """Read all that is known of a version from Postgres.

    Raises:
        SkyOpsError: its training run is gone.
    """
    name = version.model_name
    run = training.training_run(warehouse, version.training_run_id)
    rows = versions.list_versions(warehouse, name)
    row = next((row for row in rows if row["version"] == version.version), None)
    if run is None or row is None:
        raise SkyOpsError(
            f"{version.label} has no training run {version.training_run_id} in ml.training_runs; "
            "restore the warehouse, or train again."
        )
    decision = decisions.read_decision(warehouse, run.training_run_id)
    return VersionRecord(
        version=version,
        row=row,
        run=run,
        training_set=training.training_set(warehouse, run.fingerprint),
        candidates=tuple(evaluations.read_evaluation(warehouse, run.training_run_id)),
        decision=decision if row["decision_id"] is not None else None,
        changes=tuple(
            change
            for change in versions.champion_changes(warehouse, name)
            if version.mlflow_run_id in (change.from_mlflow_run_id, change.to_mlflow_run_id)
        ),
        slices=tuple(evaluations.read_slices(warehouse, run.training_run_id)),
        copy=versions.model_copy(warehouse, "mlflow_run_id", version.mlflow_run_id),
    )


def as_json(facts: VersionRecord) -> dict[str, Any]:
    """The facts as plain values, with the card."""
    return {**asdict(facts), "card": markdown(facts)}


def markdown(facts: VersionRecord) -> str:
    """The card."""
    version, run = facts.version, facts.run
    sections = {
        "What it predicts": [
            f"Minutes from an aircraft's first crossing of the {run.ring_nm} NM ring around an "
            "airport to its landing there.",
            f"Airports: {_listed(facts.training_set.airports if facts.training_set else ())}.",
            f"Outputs as ONNX: {_listed(fit.OUTPUTS if run.interval else fit.OUTPUTS[:1])}.",
        ],
        "Data": _data(facts),
        "Recipe": _recipe(facts),
        "How well": _metrics(facts),
        "Decision": _decision(facts),
        "In force": _champion_history(facts),
        "Limits": _limits(facts),
        "Origin": _origin(facts),
    }
    lines = [f"# {version.model_name}, version {version.version}"]
    for title, body in sections.items():
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"


def _data(facts: VersionRecord) -> list[str]:
    run, made = facts.run, facts.training_set
    lines = [f"- Training set: `{run.fingerprint}` (SHA-256 of its rows)"]
    if made:
        when = _span(made.crossed_from_at, made.crossed_through_at)
        lines.append(
            f"- {made.row_count:,} arrivals of `{features.ARRIVALS_TABLE}` that crossed {when}"
        )
        left_out = ", ".join(f"{rows:,} {why}" for why, rows in made.excluded.items() if rows)
        lines.append(f"- Excluded: {left_out or 'none'}")
    return [
        *lines,
        f"- Split by time at {run.train_share:.0%} of the crossings ({_at(run.cut_at)}): "
        f"{run.train_rows:,} for training, {run.test_rows:,} for testing; "
        f"{run.embargoed_rows:,} in the air at the cut and {run.shared_flight_rows:,} of flights "
        "in both parts are in neither",
        f"- Trained on crossings {_span(run.trained_from_at, run.trained_through_at)}",
        f"- Tested on crossings {_span(run.test_from_at, run.test_through_at)}",
    ]


def _recipe(facts: VersionRecord) -> list[str]:
    run = facts.run
    params = ", ".join(f"{name} {value}" for name, value in run.params.items())
    absent = run.absent_features
    return [
        f"- `{run.recipe}`: {params}",
        f"- {len(run.features)} features: {_listed(run.features)}",
        "- Absent, because no training row has a value: "
        + ("not recorded" if absent is None else _listed(absent)),
        *_search(run.search),
        _interval(run.interval),
    ]


def _search(made: dict[str, Any] | None) -> list[str]:
    if made is None:
        return ["- Search for parameters: not recorded"]
    if made["skipped"]:
        return [f"- Search for parameters: none, {made['skipped']}"]
    learned = ", ".join(f"{fold['train_rows']:,}" for fold in made["folds"])
    judged = sum(fold["test_rows"] for fold in made["folds"])
    lines = [
        "- Search for parameters, forward in time within the training rows: trained on "
        f"{learned} arrivals, tested on the next {judged:,}"
    ]
    for place, tried in enumerate(made["candidates"]):
        params = ", ".join(f"{name} {value}" for name, value in tried["params"].items())
        chosen = ", chosen" if place == made["chosen"] else ""
        lines.append(f"  - {params or 'its own parameters'}: {tried['mae_min']:.3f} min{chosen}")
    return lines


def _interval(made: dict[str, Any] | None) -> str:
    if made is None:
        return "- Interval: none"
    return (
        f"- Interval of {made['coverage']:.0%}: quantiles fitted on {made['learning_rows']:,} "
        f"arrivals, each moved out by {made['correction_min']:+.2f} min, which covers "
        f"{made['coverage']:.0%} of the last {made['calibration_rows']:,}"
    )


def _metrics(facts: VersionRecord) -> list[str]:
    own = next((c for c in facts.candidates if c["candidate"] == facts.version.label), None)
    if own is None or own["mae_min"] is None:
        return [f"{UNKNOWN.capitalize()}."]
    lines = [
        f"On {own['scored_rows']:,} of {own['test_rows']:,} test arrivals, those that every "
        "candidate predicted. Errors are predicted minus actual.",
        "",
        table(
            (
                "candidate",
                "MAE (min)",
                "RMSE (min)",
                "R2",
                "bias (min)",
                "P90 (min)",
                "within 2 min",
            ),
            (
                (
                    c["candidate"],
                    number(c["mae_min"]),
                    number(c["rmse_min"]),
                    number(c["r2"]),
                    number(c["bias_min"], "+.2f"),
                    number(c["p90_min"]),
                    number(c["within_2min_share"], ".0%"),
                )
                for c in facts.candidates
            ),
        ),
        "",
        f"- Skill against `{own['reference'] or 'no baseline'}`, the best baseline: "
        + _share(own["skill"], own["skill_low"], own["skill_high"])
        + (f", bootstrap over {own['blocks']} {own['block']}s" if own["blocks"] else ""),
    ]
    if own["interval_coverage"] is not None:
        lines.append(
            f"- Within its interval: {own['interval_coverage']:.1%} of the arrivals; it is "
            f"{own['interval_width_min']:.1f} min wide on average"
        )
    gated = [part for part in facts.slices if part["is_gated"] and part["gain"] is not None]
    if gated:
        worst = min(gated, key=lambda part: part["gain"])
        lines.append(
            f"- The worst of {len(gated)} slices of the test arrivals is {worst['kind']} "
            f"{worst['slice']} ({worst['rows']:,} arrivals): "
            f"{_share(worst['gain'], worst['gain_low'], worst['gain_high'])} against "
            f"`{worst['against']}`"
        )
    if own["champion"]:
        lines.append(
            f"- Gain against the champion then, `{own['champion']}`, on {own['champion_rows']:,} "
            "arrivals that it had not learned from: "
            + _share(own["champion_gain"], own["champion_gain_low"], own["champion_gain_high"])
        )
    else:
        lines.append("- Against a champion: not measured, as there was none or it was this version")
    return lines


def _decision(facts: VersionRecord) -> list[str]:
    made = facts.decision
    if made is None:
        return ["The gatekeeper has not judged this version yet."]
    verdict = "promoted" if made["is_promoted"] else "not promoted"
    lines = [
        f"The gatekeeper, {_at(made['decided_at'])} (decision {made['decision_id']}): {verdict}."
    ]
    for light in dict.fromkeys(reason["light"] for reason in made["reasons"]):
        rules = [reason for reason in made["reasons"] if reason["light"] == light]
        lines += ["", f"*{light.capitalize()}*", ""]
        lines += [f"- **fail**: {r['text']}" for r in rules if not r["is_passed"]]
        # By name: all texts would not fit into MLflow's description.
        if passed := [r["rule"] for r in rules if r["is_passed"]]:
            lines.append(f"- pass: {', '.join(passed)}")
    return lines


def _champion_history(facts: VersionRecord) -> list[str]:
    state = "Champion." if facts.row["is_champion"] else "Not champion."
    if not facts.changes:
        return [state]
    lines = []
    for change in facts.changes:
        became = change.to_mlflow_run_id == facts.version.mlflow_run_id
        what = "became champion" if became else f"was replaced by version {change.to_version}"
        how = "rolled back" if change.action == "rollback" else "promoted"
        by = f"{how} by {change.actor}{', by hand' if change.is_by_hand else ''}"
        lines.append(f"- {_at(change.changed_at)}: {what}; {by}: {' '.join(change.reason.split())}")
    return [state, "", *lines]


def _limits(facts: VersionRecord) -> list[str]:
    return [
        "- It was trained on the airports and the period above, without schedules, forecasts or "
        "runway closures. Its predictions for other airports are untested.",
        "- It was trained on transits of "
        f"{features.shortest_transit_min(facts.run.ring_nm):g} to "
        f"{features.MAX_TRANSIT_MIN:g} minutes only. A flight that does not land there gets a "
        "prediction all the same.",
        "- The errors above are those of the test period; traffic changes, and "
        "`ml.prediction_outcomes` has the current ones.",
        *(
            ["- Its interval holds only for arrivals like the last it was trained on."]
            if facts.run.interval
            else ["- It does not say how certain a single prediction is."]
        ),
        "- Not for separation, sequencing or anything else relevant to safety.",
    ]


def _origin(facts: VersionRecord) -> list[str]:
    row = facts.row
    return [
        f"- Training run `{row['training_run_id']}`, MLflow run `{row['mlflow_run_id']}`, "
        f"registered {_at(row['registered_at'])}",
        f"- Last fitted by code {row['code_version'] or 'of unknown version'} in Dagster run "
        f"`{row['dagster_run_id'] or 'none'}`",
        *(
            [
                f"- Copied from the environment {made.from_env}, where it is version "
                f"{made.from_version} (MLflow run `{made.from_mlflow_run_id}`), by {made.actor} "
                f"{_at(made.copied_at)}: {' '.join(made.reason.split())}"
            ]
            if (made := facts.copy)
            else []
        ),
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _span(begin: datetime | None, end: datetime | None) -> str:
    return f"{_at(begin)} to {_at(end)}" if begin and end else "at no time: there are none"


def _at(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else "-"


def _share(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return UNKNOWN
    if low is None or high is None:
        return f"{value:+.1%} (no interval could be computed)"
    return f"{value:+.1%} (95 % interval {low:+.1%} to {high:+.1%})"
