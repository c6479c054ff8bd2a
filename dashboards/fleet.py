"""The third board: the fleet, its reliability, and how well the sky was heard."""

from __future__ import annotations

from dashboards.parts import (
    GREEN,
    RED,
    YELLOW,
    Board,
    Postgres,
    airports,
    ask,
    figures,
    lines,
    rows,
)

AIRPORTS = '{airport=~"$airport"}'
DAY = "at time zone 'UTC'"


def board() -> Board:
    """The board."""
    made = Board(
        "skyops-fleet",
        "SkyOps fleet and reliability",
        "Utilisation, reliability with levels, maintenance, punctuality, coverage.",
        "now-90d",
    )
    made.builder.with_variable(airports())
    _now(made)
    _history(made)
    _airports(made)
    return made


def _now(made: Board) -> None:
    for place, panel in enumerate((
        figures("Fleet", "Airframes that flew, and their flights, on the newest day.", "short",
                ask("max(skyops_fleet_airframes)", "airframes"),
                ask("max(skyops_fleet_flights)", "flights")),
        figures("In the air", "Time in the air of all airframes on that day.", "s",
                ask("max(skyops_fleet_airborne_seconds)", "airborne")),
        figures("Alerts of reliability", "ATA chapters and parts in alert.", "short",
                ask("max(skyops_reliability_alerts)", "alerts"),
                limits=((None, GREEN), (1, RED))),
        figures("Overdue maintenance", "Tasks and bulletins past a limit.", "short",
                ask("max(skyops_maintenance_overdue)", "overdue"),
                limits=((None, GREEN), (1, RED))),
        figures("On time yesterday", "Share of arrivals at most 15 minutes late.", "percentunit",
                ask("max(skyops_punctuality_on_time_ratio)", "on time"),
                limits=((None, RED), (0.7, YELLOW), (0.8, GREEN))),
        figures("Anomalous flights", "Anomalous flights of the last day.", "short",
                ask("max(skyops_flights_anomalous)", "anomalous"),
                ask("max(skyops_flights_judged)", "compared")),
    )):  # fmt: skip
        made.put(panel, left=4 * place, width=4, height=4)


def _history(made: Board) -> None:
    for left, title, unit, column in (
        (0, "Hours in the air", "h", "airborne_h"), (8, "Flights", "short", "flight_count"),
    ):  # fmt: skip
        made.put(lines(
            title, "By aircraft type and day.", unit,
            Postgres(f"""
            select
                flown_on::timestamp {DAY} as time,
                coalesce(typecode, 'unknown') as metric,
                sum({column}) as value
            from metrics.fleet_types_daily
            where $__timeFilter(flown_on::timestamp {DAY})
            group by 1, 2
            order by 1, 2
        """, is_series=True),
            is_stacked=True,
        ), left=left, width=8)  # fmt: skip
    made.put(lines(
        "Punctuality", "Share of the observed arrivals that were at most 15 minutes late, by day.",
        "percentunit",
        Postgres(f"""
            select
                arrives_on::timestamp {DAY} as time,
                sum(on_time_count)::double precision / nullif(sum(landed_count), 0) as "on time"
            from metrics.punctuality_daily
            where $__timeFilter(arrives_on::timestamp {DAY})
            group by 1
            order by 1
        """, is_series=True),
        is_share=True,
    ), left=16, width=8)  # fmt: skip
    made.put(rows(
        "Reliability of the latest "
        "week", "Fleets, ATA chapters and parts; those in alert come first.",
        Postgres(f"""
            select
                fleet,
                ata_chapter,
                part_number,
                case when alert_level = 'alert' then '{RED}' else '{GREEN}' end as state,
                alert_level,
                month_rate_per_1000_hours,
                level_2sd_per_1000_hours,
                level_3sd_per_1000_hours,
                mtbur_h,
                alert_reason
            from metrics.component_reliability_weekly
            where is_current
            order by alert_level = 'alert' desc, excess_sd desc nulls last
            limit 100
        """),
        lights=("state",),
    ), left=0, width=12, height=9)  # fmt: skip
    made.put(rows(
        "Maintenance due", "Tasks of airframes, the most urgent first.",
        Postgres(f"""
            select
                airframe,
                fleet,
                task,
                case when due_status = 'overdue' then '{RED}' else '{GREEN}' end as state,
                due_status,
                hours_to_go,
                cycles_to_go,
                days_to_go,
                forecast_on,
                first_limit
            from metrics.maintenance_due
            order by due_status = 'overdue' desc, forecast_on nulls last
            limit 100
        """),
        lights=("state",),
    ), left=12, width=12, height=9)  # fmt: skip
    made.put(lines(
        "Coverage of the feed",
        "Share of the minutes of flights in the air that have a position, by area and "
        "week.", "percentunit",
        Postgres(f"""
            select week_on::timestamp {DAY} as time, area as metric, coverage_share as value
            from metrics.feed_reliability_weekly
            where $__timeFilter(week_on::timestamp {DAY})
            order by 1, 2
        """, is_series=True),
        is_share=True,
    ), left=0, width=8)  # fmt: skip


def _airports(made: Board) -> None:
    made.put(lines(
        "Movements of the last hour", "By airport.", "short",
        ask(f"max by (airport) (skyops_airport_landings{AIRPORTS})", "{{airport}} landings"),
        ask(f"max by (airport) (skyops_airport_takeoffs{AIRPORTS})", "{{airport}} take-offs"),
        ask(f"max by (airport) (skyops_airport_go_arounds{AIRPORTS})", "{{airport}} go-arounds"),
        ask(f"max by (airport) (skyops_airport_holdings{AIRPORTS})", "{{airport}} holdings"),
    ), left=8, width=8)  # fmt: skip
    made.put(lines(
        "Additional time (ASMA)", "Mean over the last hour's arrivals, from 40 NM.", "s",
        ask(f"max by (airport) (skyops_airport_additional_seconds{AIRPORTS})", "{{airport}}"),
    ), left=16, width=8)  # fmt: skip
