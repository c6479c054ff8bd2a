"""The second board: the service, what it is asked and how it answers."""

from __future__ import annotations

from dashboards.parts import GREEN, RED, Board, Postgres, ask, figures, lines, rows

SECONDS = "rate(skyops_http_request_duration_seconds_bucket[$__rate_interval])"
ANSWERS = "rate(skyops_http_requests_total[$__rate_interval])"
FAILED = 'rate(skyops_http_requests_total{status=~"5.."}[$__rate_interval])'


def board() -> Board:
    """The board."""
    made = Board(
        "skyops-service",
        "SkyOps service",
        "Requests, response times, errors, predictions and training runs.",
        "now-6h",
    )
    _requests(made)
    _predictions(made)
    _trainings(made)
    return made


def _requests(made: Board) -> None:
    made.put(lines(
        "Requests a second", "Responses per second, by route.", "reqps",
        ask(f"sum by (route) ({ANSWERS})", "{{route}}"),
    ), left=0, width=8)  # fmt: skip
    made.put(lines(
        "Time to answer", "Time until the response starts, over all routes.", "s",
        *(ask(f"histogram_quantile({share / 100}, sum by (le) ({SECONDS}))", f"p{share}")
          for share in (50, 95, 99)),
    ), left=8, width=8)  # fmt: skip
    made.put(lines(
        "p95 by route", "Time until the response starts.", "s",
        ask(f"histogram_quantile(0.95, sum by (le, route) ({SECONDS}))", "{{route}}"),
    ), left=16, width=8)  # fmt: skip
    made.put(lines(
        "Errors", "Responses per second with a status of 500 or more, and their share of all.",
        "percentunit",
        ask(f"(sum({FAILED}) or vector(0)) / (sum({ANSWERS}) > 0)", "share of errors"),
        is_share=True, limits=((None, GREEN), (0.01, RED)),
    ), left=0, width=8)  # fmt: skip
    made.put(lines(
        "Refused requests",
        "Refused requests per second, by reason: no key (401), missing scope (403), too many "
        "(429), invalid (422) and so on.", "reqps",
        ask("sum by (reason) (rate(skyops_rejected_total[$__rate_interval]))", "{{reason}}"),
    ), left=8, width=8)  # fmt: skip
    made.put(lines(
        "Over a limit", "Requests per second over a limit of their key.", "reqps",
        ask("sum by (limit) (rate(skyops_limited_total[$__rate_interval]))", "{{limit}}"),
    ), left=16, width=8)  # fmt: skip


def _predictions(made: Board) -> None:
    made.put(lines(
        "Predictions a second", "By model and version.", "ops",
        ask("sum by (model, version) (rate(skyops_predictions_total[$__rate_interval]))",
            "{{model}} {{version}}"),
    ), left=0, width=8)  # fmt: skip
    made.put(lines(
        "Time that the model "
        "takes", "Time that the model takes for the records of one request, by model.", "s",
        *(ask(f"histogram_quantile({share / 100}, sum by (le, model) "
              "(rate(skyops_model_answer_seconds_bucket[$__rate_interval])))",
              f"p{share} {{{{model}}}}")
          for share in (50, 95, 99)),
    ), left=8, width=8)  # fmt: skip
    made.put(lines(
        "Predicted minutes",
        "Median and 90th percentile of the predicted time to the landing, by model and "
        "version.", "s",
        *(ask(f"histogram_quantile({share / 100}, sum by (le, model, version) "
              "(rate(skyops_predicted_transit_seconds_bucket[$__rate_interval])))",
              f"p{share} {{{{model}}}} {{{{version}}}}")
          for share in (50, 90)),
    ), left=16, width=8)  # fmt: skip
    made.put(figures(
        "The champion answers", "1 where the champion of a model answers, 0 where it could not be "
        "loaded.", "none",
        ask("min by (model) (skyops_champion_loaded)", "{{model}}"),
        limits=((None, RED), (1, GREEN)),
    ), left=0, width=8, height=5)  # fmt: skip
    made.put(lines(
        "Time to load a model", "Seconds to load and check the served version.", "s",
        ask("max by (model, version) (skyops_model_load_seconds)", "{{model}} {{version}}"),
    ), left=8, width=8, height=5)  # fmt: skip
    made.put(lines(
        "Predictions not logged "
        "yet", "Bytes on the service's disk that are not in the database yet.", "bytes",
        ask("sum(skyops_prediction_log_unsent_bytes)", "unsent"),
    ), left=16, width=8, height=5)  # fmt: skip


def _trainings(made: Board) -> None:
    made.put(rows(
        "Trainings", "The newest training runs, and the gatekeeper's decisions.",
        Postgres("""
            select
                runs.created_at as trained_at,
                runs.model_name as model,
                versions.version,
                runs.recipe,
                runs.train_rows,
                runs.test_rows,
                coalesce(runs.untrained_reason, decisions.summary, 'not decided yet') as decision
            from ml.training_runs as runs
            left join ml.model_versions as versions using (training_run_id)
            left join ml.promotion_decisions as decisions using (training_run_id)
            where $__timeFilter(runs.created_at)
            order by runs.created_at desc
            limit 50
        """),
    ), left=0, width=16)  # fmt: skip
    made.put(lines(
        "Dagster's jobs", "Runs that ended in the last 24 hours, by job and result.", "short",
        ask("max by (job_name, status) (skyops_dagster_runs_last_day)", "{{job_name}} {{status}}"),
    ), left=16, width=8)  # fmt: skip
