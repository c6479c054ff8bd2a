-- baseline: the best naive answer where the predictor was trained, fitted on the same past; null where
-- nothing was trained or its rows are gone.
alter table ml.predictions
    add column source text not null default 'positions' check (source in ('positions', 'history')),
    add column baseline text,
    add column baseline_transit_min double precision;

-- One row per model version, source and UTC day of the crossings: how far off its predictions were that
-- had not been learned from, and skill = 1 - MAE / MAE of the baseline stored beside each prediction. The
-- 7d columns are of that day and the six before. compared_rows are those that the baseline answered too.
create view ml.model_skill as
with errors as (
    select
        p.model_name,
        p.model_version,
        p.source,
        p.ring_nm,
        (p.crossed_at at time zone 'UTC')::date as day,
        abs(o.error_min) as error_min,
        case
            when p.baseline_transit_min is not null then abs(o.error_min)
        end as compared_error_min,
        abs(p.baseline_transit_min - (p.predicted_transit_min - o.error_min)) as baseline_error_min
    from ml.predictions as p
    inner join ml.prediction_outcomes as o
        using (flight_id, airport, ring_nm, model_name, model_version) -- noqa: ST07
    where not p.is_in_sample and o.error_min is not null
),

daily as (
    select
        model_name,
        model_version,
        source,
        ring_nm,
        day,
        count(*) as rows,
        count(baseline_error_min) as compared_rows,
        sum(error_min) as error_min,
        sum(compared_error_min) as compared_error_min,
        sum(baseline_error_min) as baseline_error_min
    from errors
    group by model_name, model_version, source, ring_nm, day
)

select
    model_name,
    model_version,
    source,
    ring_nm,
    day,
    rows,
    compared_rows,
    error_min / rows as mae_min,
    baseline_error_min / nullif(compared_rows, 0) as baseline_mae_min,
    1 - compared_error_min / nullif(baseline_error_min, 0) as skill,
    (sum(rows) over week)::bigint as rows_7d,
    sum(error_min) over week / sum(rows) over week as mae_7d_min,
    1 - sum(compared_error_min) over week / nullif(sum(baseline_error_min) over week, 0) as skill_7d
from daily
window week as (
    partition by model_name, model_version, source, ring_nm
    order by day range between interval '6 days' preceding and current row
);

-- Of a row of kind 'monitor': trigger is what asked for a retraining, and outcome and improvement are
-- filled in by the decision on the challenger (training_run_id) that it led to.
alter table audit.monitoring_log
    add column model_name text,
    add column trigger text,
    add column training_run_id text,
    add column report text;
create index monitoring_log_newest on audit.monitoring_log (kind, model_name, log_id);
