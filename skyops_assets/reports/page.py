"""One report as an HTML page: figures beside those of the period and the year before, and plots.

Belongs here: words, tables and pictures. Does not: the questions (`figures`), the store (`store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

from skyops_assets.reporting import html
from skyops_assets.reporting.markdown import number
from skyops_assets.reporting.plots import BLUE, GREY, new_figure, to_png
from skyops_assets.reports.figures import Asked
from skyops_assets.reports.periods import Period, zone_of
from skyops_assets.warehouse.connection import Warehouse

_SECTIONS = {
    "Traffic": (
        ("arrivals", "Arrivals, including touch-and-goes", ",.0f"),
        ("departures", "Departures, including touch-and-goes", ",.0f"),
        ("go_arounds", "Go-arounds", ",.0f"),
        ("airlines", "Airlines", ",.0f"),
        ("days", "Days with movements", ",.0f"),
    ),
    "Punctuality": (
        ("counted", "Arrivals with a transit time", ",.0f"),
        ("transit_min", "Mean transit from the ring to the landing (min)", ".2f"),
        ("additional_min", "Mean additional ASMA time, rolling reference (min)", "+.2f"),
        ("p90_additional_min", "90th percentile of additional ASMA time (min)", "+.2f"),
        ("fixed_additional_min", "Mean additional ASMA time, fixed reference year (min)", "+.2f"),
        ("holdings", "Holdings", ",.0f"),
        ("holding_min", "Minutes in holdings", ",.0f"),
        ("landed", "Scheduled arrivals that landed", ",.0f"),
        ("on_time_share", "On time: less than 15 minutes late", ".1%"),
        ("delay_min", "Mean arrival delay (min)", "+.1f"),
        ("cancelled", "Cancelled", ",.0f"),
    ),
    "Runways": (("changes", "Changes of landing direction", ",.0f"),),
    "On the ground": (
        ("taxi_out_min", "Mean taxi-out time (min)", ".1f"),
        ("additional_taxi_out_min", "Mean additional taxi-out time (min)", "+.1f"),
        ("taxi_in_min", "Mean taxi-in time (min)", ".1f"),
        ("additional_taxi_in_min", "Mean additional taxi-in time (min)", "+.1f"),
        ("taxi_share", "Share of the movements with a taxi time", ".0%"),
        ("occupancy_s", "Mean time on the runway (s)", ".0f"),
        ("occupancy_share", "Share of the movements with a time on the runway", ".0%"),
    ),
    "Fleet": (
        ("airframes", "Airframes heard in the air", ",.0f"),
        ("flights", "Flights", ",.0f"),
        ("airborne_h", "Hours in the air, at least", ",.0f"),
        ("coverage_share", "Share of the time in which they were heard", ".0%"),
    ),
}
_NOTES = {
    "Punctuality": "Additional ASMA time is how much longer an arrival took from the {ring} NM "
    "ring than the fastest 5 % of comparable arrivals in twelve months. The figure with a fixed "
    "reference year uses EUROCONTROL's published method, by UTC days. Figures by schedule go by "
    "UTC days and need an operator's schedules.",
    "On the ground": "A taxi time needs reception all the way between stand and runway. Additional "
    "taxi time is how much longer it took than the 20th percentile for that runway.",
    "Fleet": "All airframes that were heard, including those that never came to this airport, by "
    "UTC days. Hours are a lower bound if reception has gaps.",
}


def build(
    warehouse: Warehouse, airport: dict[str, str], period: Period, ring_nm: int, now: datetime
) -> str:
    """The page of one airport and period.

    Args:
        airport: `airport` (ICAO code), `name` and `timezone`, in which days and hours are.
        now: when it is made.
    """
    zone = zone_of(airport["timezone"])
    asked = {
        name: Asked(warehouse, airport["airport"], zone, one, ring_nm)
        for name, one in (
            ("this", period), ("before", period.before), ("year", period.year_before)
        )
    }  # fmt: skip
    figures = {name: one.figures() for name, one in asked.items()}
    this = asked["this"]
    title = f"{airport['airport']} {airport['name']}: {period.title}"
    start, end = period.bounds(zone)
    until = "" if end <= now else " The period is not over yet: the figures cover the part so far."
    extras: dict[str, Callable[[], Iterator[str]]] = {
        "Traffic": lambda: _traffic(this, period, zone),
        "Runways": lambda: _runways(this),
        "Fleet": lambda: _operators(this),
    }
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{start.astimezone(zone):%d %B %Y %H:%M} to {end.astimezone(zone):%d %B %Y %H:%M} "
        f"{escape(zone.key)} ({start:%d %b %H:%M} to {end:%d %b %H:%M} UTC).{until} "
        f"Made {now.astimezone(zone):%d %B %Y %H:%M} ({now:%H:%M} UTC). A dash means unknown.</p>",
    ]
    for heading, rows in _SECTIONS.items():
        parts += [f"<h2>{heading}</h2>", _compared(rows, figures, period)]
        if heading in _NOTES:
            parts.append(f"<p>{_NOTES[heading].format(ring=ring_nm)}</p>")
        if heading in extras:
            parts += extras[heading]()
    parts += [*_reliability(this), *_model(this)]
    return html.page(title, parts)


def _compared(
    rows: tuple[tuple[str, str, str], ...],
    figures: dict[str, dict[str, float | None]],
    period: Period,
) -> str:
    head = (
        "", period.title, period.before.title, "change", period.year_before.title, "change",
    )  # fmt: skip
    lines = []
    for key, words, form in rows:
        now, before, year = (figures[name][key] for name in ("this", "before", "year"))
        lines.append((
            words, number(now, form), number(before, form), _change(now, before, form),
            number(year, form), _change(now, year, form),
        ))  # fmt: skip
    return html.table(head, lines)


def _change(now: float | None, then: float | None, form: str) -> str:
    """By what it grew: shares in points, minutes in minutes, counts in per cent."""
    if now is None or then is None:
        return "-"
    if form.endswith("%"):
        return f"{100 * (now - then):+.1f} points"
    if form.endswith(",.0f"):
        return f"{now / then - 1:+.0%}" if then else "-"
    return f"{now - then:+.2f}"


def _traffic(this: Asked, period: Period, zone: ZoneInfo) -> Iterator[str]:
    if busiest := this.busiest():
        local, utc, count = busiest
        yield (
            f"<p>Busiest hour: {local:%A %d %B, %H:%M} ({utc.astimezone(UTC):%H:%M} UTC), "
            f"{count} movements.</p>"
        )
    by_hour, by_day = this.by_hour(), this.by_day()
    if not by_hour:
        yield "<p>No movements were seen.</p>"
        return
    figure, (days, hours) = new_figure(2)
    whole = (period.ends_on - period.starts_on).days
    all_days = [period.starts_on + timedelta(days=n) for n in range(whole)]
    form = "%a %d" if period.kind == "week" else "%d"
    none = (0.0, 0.0)
    for axes, names, values in (
        (days, [f"{day:{form}}" for day in all_days], [by_day.get(day, none) for day in all_days]),
        (hours, [f"{n:02}" for n in range(24)], [by_hour.get(n, none) for n in range(24)]),
    ):
        arrivals, departures = ([one[k] for one in values] for k in (0, 1))
        axes.bar(names, arrivals, color=BLUE, label="arrivals")
        axes.bar(names, departures, bottom=arrivals, color=GREY, label="departures")
        axes.tick_params(axis="x", labelsize=7)
    days.set(ylabel="movements", title="by local day")
    hours.set(title=f"by hour of the day ({zone.key})")
    days.legend(frameon=False)
    yield html.image(to_png(figure, 90), "Arrivals and departures by local day and hour")


def _runways(this: Asked) -> Iterator[str]:
    rows = this.runways()
    if not rows:
        return
    sums = [sum(row[kind] for row in rows) or 1 for kind in ("arrivals", "departures")]
    yield html.table(
        ("runway", "arrivals", "share", "departures", "share"),
        [
            (
                row["runway"], f"{row['arrivals']:,.0f}", f"{row['arrivals'] / sums[0]:.0%}",
                f"{row['departures']:,.0f}", f"{row['departures'] / sums[1]:.0%}",
            )
            for row in rows
        ],
    )  # fmt: skip


def _operators(this: Asked) -> Iterator[str]:
    if rows := this.operators():
        yield html.table(
            ("airlines with the most movements here", "movements"),
            [(row["airline"], f"{row['movements']:,.0f}") for row in rows],
        )


def _reliability(this: Asked) -> Iterator[str]:
    yield "<h2>Reliability</h2>"
    rows = this.components()
    if not rows:
        yield ("<p>No component with maintenance events is above its alert level or rising.</p>")
        return
    yield html.table(
        ("fleet", "ATA chapter", "part", "level", "trend"),
        [
            (
                row["fleet"], row["ata_chapter"], row["part"], row["alert_level"] or "-",
                row["trend"] or "-",
            )
            for row in rows
        ],
    )  # fmt: skip


def _model(this: Asked) -> Iterator[str]:
    yield "<h2>Predicted landings</h2>"
    rows = this.models()
    if not rows:
        yield "<p>No predicted flight landed in this period.</p>"
        return
    yield html.table(
        ("model", "ring (NM)", "landings", "MAE (min)", "bias (min)", "90 % within (min)"),
        [
            (
                row["model_name"] + (" (champion now)" if row["is_champion"] else ""),
                f"{row['ring_nm']}", f"{row['landed']:,.0f}", f"{row['mae_min']:.2f}",
                f"{row['bias_min']:+.2f}", f"{row['p90_min']:.2f}",
            )
            for row in rows
        ],
    )  # fmt: skip
