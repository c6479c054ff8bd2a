-- What sqlfluff sees of the macros that hooks call and no model: one statement for each. `NO_SQL` in test_dbt.py names
-- the macros that it sees nowhere.

-- The columns of state_columns() are those of the positions alone, and laterals that look back cannot be CTEs.
{{ contested_stretches(true, this, notes('ranges')) }}; -- noqa: ST05

{{ contested_stretches(false, this, notes('ranges')) }}; -- noqa: ST05

{{ contested_fixes('2021-10-07 12:00:00+00') }}; -- noqa: RF02

with deduplicated as (
    select * from contested_fixes
),

{{ cleaned_states(is_tracked=true) }};

{{ stepping_addresses(true) }};

{{ stepping_addresses(false) }};

{{ insert_changes('intermediate.int_flights__segmented', 'metrics.fct_flights') }}; -- noqa: ST05, AL04

{{ insert_feature_changes() }};

{{ add_to_pending() }};

{{ take_pending() }};

{{ cut_ranges('states', 'segmented', 'summaries', 'anomalies') }}; -- noqa: ST05, AL04, RF01, RF04

{{ cut_hours() }};

{{ extend_flights_to_latest() }}; -- noqa: RF01

{{ extend_ranges_to_new_flights() }};
