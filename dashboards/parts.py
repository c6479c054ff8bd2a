"""What the boards are made of: queries of both data sources, panels, variables, marks.

Belongs here: how each looks. Does not: which there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent
from typing import Any

from grafana_foundation_sdk.builders import (
    barchart,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

POSTGRES = looks.DataSourceRef("grafana-postgresql-datasource", "skyops-postgres")
PROMETHEUS = looks.DataSourceRef("prometheus", "skyops-prometheus")
GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "text"
HEIGHT = 7
Limits = Sequence[tuple[float | None, str]]
"""Colours, each from a value on; the first has None."""


class Postgres(Builder[Dataquery], Dataquery):
    """A query of the warehouse, which the library has no class for.

    Args:
        sql: with `$__timeFilter` and the board's variables.
        is_series: whether the rows are points of series: `time`, the series' names in text
            columns, and a value in each number column. Else they are a table.
    """

    def __init__(self, sql: str, *, is_series: bool = False) -> None:
        self._sql = dedent(sql).strip()
        self._format = "time_series" if is_series else "table"
        self.ref_id = "A"

    def build(self) -> Dataquery:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As Grafana's own editor writes it."""
        return {
            "refId": self.ref_id, "datasource": POSTGRES, "format": self._format,
            "editorMode": "code", "rawQuery": True, "rawSql": self._sql,
        }  # fmt: skip


def ask(expr: str, legend: str = "", *, is_instant: bool = False) -> Builder[Dataquery]:
    """A query of Prometheus: over the board's time, or of its end."""
    query = prometheus.Dataquery().datasource(PROMETHEUS).expr(expr).legend_format(legend)
    if is_instant:
        return query.instant().format(PromQueryFormat.TABLE if not legend else
                                      PromQueryFormat.TIME_SERIES)  # fmt: skip
    return query.range()


def lines(
    title: str, about: str, unit: str, *queries: Builder[Dataquery], limits: Limits = (),
    is_stacked: bool = False, is_share: bool = False,
) -> timeseries.Panel:  # fmt: skip
    """Values over time.

    Args:
        about: shown at the title.
        unit: one of Grafana's names of units.
        limits: drawn as lines.
        is_stacked: as bars on top of each other.
        is_share: from 0 to 1.
    """
    panel = _filled(timeseries.Panel(), title, about, unit, queries)
    panel = panel.legend(_legend()).line_width(1).fill_opacity(10).show_points(
        looks.VisibilityMode.AUTO
    ).span_nulls(True)  # fmt: skip
    if is_stacked:
        panel = panel.draw_style(looks.GraphDrawStyle.BARS).fill_opacity(80).stacking(
            common.StackingConfig().mode(looks.StackingMode.NORMAL)
        )  # fmt: skip
    if is_share:
        panel = panel.min(0).max(1)
    if limits:
        style = common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(style)
    return panel


def bars(
    title: str, about: str, unit: str, query: Builder[Dataquery], *, is_lying: bool = False
) -> barchart.Panel:
    """A bar for each row, in a group for each number column; the first column names it."""
    panel = _filled(barchart.Panel(), title, about, unit, (query,)).legend(_legend())
    lying, upright = looks.VizOrientation.HORIZONTAL, looks.VizOrientation.VERTICAL
    return panel.orientation(lying if is_lying else upright).fill_opacity(80)


def figures(
    title: str, about: str, unit: str, *queries: Builder[Dataquery], limits: Limits = ()
) -> stat.Panel:
    """The newest value of each series, in large."""
    panel = _filled(stat.Panel(), title, about, unit, queries)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel = panel.graph_mode(looks.BigValueGraphMode.NONE)
    return panel.thresholds(_thresholds(limits or ((None, GREY),)))


def rows(
    title: str, about: str, query: Builder[Dataquery], *, lights: Sequence[str] = ()
) -> table.Panel:
    """The rows of a query.

    Args:
        lights: columns that are green where they say green, and red where they say red.
    """
    panel = _filled(table.Panel(), title, about, "", (query,))
    panel = panel.cell_options(looks.TableAutoCellOptions())
    colours = {name: models.ValueMappingResult(color=name, text=name) for name in (GREEN, RED)}
    shown = [
        models.DynamicConfigValue("mappings", [models.ValueMap(colours)]),
        models.DynamicConfigValue("custom.cellOptions", looks.TableColoredBackgroundCellOptions()),
    ]
    for column in lights:
        panel = panel.override_by_name(column, shown)
    return panel


def heading(words: str, about: str) -> text.Panel:
    """A line of text, over a column."""
    panel = text.Panel().title("").content(f"### {words}\n{about}")
    return panel.mode(TextMode.MARKDOWN).transparent(True)


def _filled(panel: Any, title: str, about: str, unit: str, queries: Sequence[Any]) -> Any:
    source = POSTGRES if isinstance(queries[0], Postgres) else PROMETHEUS
    panel = panel.title(title).description(" ".join(about.split())).datasource(source)
    for letter, query in zip("ABCDE", queries, strict=False):
        if isinstance(query, Postgres):
            query.ref_id = letter
        else:
            query.ref_id(letter)
        panel = panel.with_target(query)
    return panel.unit(unit) if unit else panel


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    return legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True).calcs([])


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(value, colour) for value, colour in limits]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def ring() -> dashboard.CustomVariable:
    """Which ring's model the panels are of."""
    chosen = models.VariableOption(True, "40", "40")
    variable = dashboard.CustomVariable("ring").label("Ring (NM)").values("40,100")
    return variable.current(chosen).options([chosen, models.VariableOption(False, "100", "100")])


def airports() -> dashboard.QueryVariable:
    """Which of the watched airports; all, to begin with."""
    query: dict[str, object] = {
        "query": "label_values(skyops_airport_flights, airport)", "refId": "airports"
    }  # fmt: skip
    variable = dashboard.QueryVariable("airport").label("Airport").datasource(PROMETHEUS)
    variable = variable.query(query).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.multi(True).include_all(True).current(
        models.VariableOption(True, ["All"], ["$__all"])
    )  # fmt: skip


def marks(name: str, expr: str, words: str, colour: str) -> dashboard.AnnotationQuery:
    """Marks over every panel with a time axis, where a query of Prometheus has a value.

    Args:
        expr: a value is the mark's time, in milliseconds.
        words: what is said at a mark, with its labels in `{{ }}`.
    """
    query = dashboard.AnnotationQuery().name(name).datasource(PROMETHEUS).enable(True)
    return query.expr(expr).text_format(words).icon_color(colour).use_value_for_time(True)


def only_on(query: dashboard.AnnotationQuery, ids: Sequence[int]) -> dashboard.AnnotationQuery:
    """Marks on these panels only."""
    return query.filter(dashboard.AnnotationPanelFilter().exclude(False).ids(list(ids)))


class Board:
    """A dashboard that grows panel by panel, in columns from left to right."""

    def __init__(self, uid: str, title: str, about: str, since: str) -> None:
        board = dashboard.Dashboard(title).uid(uid).description(about).tags(["skyops"])
        self.builder = board.time(since, "now").refresh("1m").timezone("utc").readonly()
        self.builder.tooltip(models.DashboardCursorSync.CROSSHAIR)
        link = dashboard.DashboardLink("SkyOps").type(models.DashboardLinkType.DASHBOARDS)
        self.builder.link(link.tags(["skyops"]).as_dropdown(True))
        self._next_id = 1
        self._bottom: dict[int, int] = {}

    def put(self, panel: Any, *, left: int, width: int, height: int = HEIGHT) -> int:
        """Place a panel below what stands there already; its number on the board."""
        columns = range(left, left + width)
        top = max(self._bottom.get(column, 0) for column in columns)
        self._bottom.update(dict.fromkeys(columns, top + height))
        number = self._next_id
        self._next_id += 1
        place = models.GridPos(h=height, w=width, x=left, y=top)
        self.builder.with_panel(panel.id(number).grid_pos(place))
        return number
