"""The one table of features: name, SQL type, the model that computes it, group, meaning.

Belongs here: what a feature is. Does not: how it is computed (its family's SQL), what is done with
a row of features (`features.py`). `make features` writes what dbt has of this table: the doc
blocks, the columns of the contracts, and the names that the features' models select.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

GROUPS = (
    "airport",
    "entry bearing",
    "altitude",
    "speed",
    "congestion",
    "recent transits",
    "runway in use",
    "weather",
    "aircraft",
    "hour and weekday",
)
"""Features of a group say the same thing. Importance permutes a group at once: permuting one of two
correlated columns shows neither as important."""

NUMBER, COUNT, TEXT = "double precision", "integer", "text"
COUNTS, MINUTES = (0, 1000), (0, 1440)
"""Aircraft, or minutes of a day: what lies outside is an error of who asks."""


class Feature(NamedTuple):
    """A column that the model may see at a ring crossing.

    Attributes:
        name: the column, with its unit.
        type: in SQL.
        family: the model that computes it, without ``int_crossings__``.
        group: of `GROUPS`; None where the column is only shown, and no model learns from it.
        meaning: the column's description.
        takes: of a number the least and the most that can be true, of a text all values; a record
            that asks for a prediction is refused outside. None where the column is only shown.
    """

    name: str
    type: str
    family: str
    group: str | None
    meaning: str
    takes: tuple[float, float] | tuple[str, ...] | None = None


# fmt: off
TABLE = (
    Feature("airport", TEXT, "unioned", "airport",
        "ICAO code of the airport."),
    Feature("sector", TEXT, "unioned", "entry bearing",
        "Octant of the bearing from the airport.", ("N", "NE", "E", "SE", "S", "SW", "W", "NW")),
    Feature("bearing_deg", NUMBER, "unioned", None,
        "Bearing from the airport to the aircraft, degrees true."),
    Feature("bearing_sin", NUMBER, "unioned", "entry bearing",
        "Sine of the bearing.", (-1, 1)),
    Feature("bearing_cos", NUMBER, "unioned", "entry bearing",
        "Cosine of the bearing.", (-1, 1)),
    Feature("altitude_m", NUMBER, "unioned", "altitude",
        "Barometric altitude, interpolated; the last known within a minute if a fix has none. In "
        "the history, the altitude of the position closest to the ring.", (-500, 20_000)),
    Feature("ground_speed_mps", NUMBER, "unioned", "speed",
        "Ground speed, interpolated in the same way; null in the history.", (0, 500)),
    Feature("vertical_rate_mps", NUMBER, "unioned", "altitude",
        "Last known rate of climb within a minute; null in the history.", (-150, 150)),
    Feature("track_offset_deg", NUMBER, "unioned", "entry bearing",
        "Angle between the track and the direction to the airport: 0 is straight in. Null in the "
        "history.", (-180, 180)),
    Feature("typecode", TEXT, "surroundings", None,
        "ICAO type designator of the airframe, such as A320; null if the aircraft database lacks "
        "it."),
    Feature("wake", TEXT, "surroundings", "aircraft",
        "ICAO wake category by the emitter category last sent within a minute: L below 7 t, M, H "
        "from 136 t (a super too); null if none was sent, and in the history.", ("L", "M", "H")),
    Feature("outer_leg_min", NUMBER, "legs", "speed",
        "Minutes since the same flight crossed the widest ring; null at that ring.", MINUTES),
    Feature("outer_leg_mps", NUMBER, "legs", "speed",
        "Mean speed since the widest ring: great circle between the two crossings, divided by the "
        "time.",
        (0, 1000)),
    Feature("near_leg_mps", NUMBER, "legs", "speed",
        "Mean speed since the flight crossed the next wider ring (50 NM for 40 NM), along the "
        "great circle.", (0, 1000)),
    Feature("near_leg_climb_mps", NUMBER, "legs", "altitude",
        "Mean rate of climb since the next wider ring.", (-300, 300)),
    Feature("inbound_inside_count", COUNT, "surroundings", "congestion",
        "Other aircraft inside the ring in the last 30 s that look inbound by the same rule as "
        "is_inbound; null in the history.", COUNTS),
    Feature("entries_5min_count", COUNT, "entries", "congestion",
        "Other flights that entered the ring inbound in the last 5 minutes.", COUNTS),
    Feature("entries_15min_count", COUNT, "entries", "congestion",
        "Other flights that entered the ring inbound in the last 15 minutes.", COUNTS),
    Feature("entries_30min_count", COUNT, "entries", "congestion",
        "Other flights that entered the ring inbound in the last 30 minutes.", COUNTS),
    Feature("entries_60min_count", COUNT, "entries", "congestion",
        "Other flights that entered the ring inbound in the last 60 minutes.", COUNTS),
    Feature("sector_entries_15min_count", COUNT, "entries", "congestion",
        "Entries of the last 15 minutes from the same octant.", COUNTS),
    Feature("unlanded_count", COUNT, "entries", "congestion",
        "Entries of the last 60 minutes whose landing is not known yet.", COUNTS),
    Feature("sector_unlanded_count", COUNT, "entries", "congestion",
        "Entries of the last 60 minutes from the same octant whose landing is not known "
        "yet.", COUNTS),
    Feature("mean_unlanded_age_min", NUMBER, "entries", "congestion",
        "Mean minutes since the entries without a known landing; null when there are none.",
        MINUTES),
    Feature("landings_15min_count", COUNT, "landings", "congestion",
        "Landings at the airport in the last 15 minutes, known by now.", COUNTS),
    Feature("landings_30min_count", COUNT, "landings", "congestion",
        "Landings at the airport in the last 30 minutes, known by now.", COUNTS),
    Feature("landings_60min_count", COUNT, "landings", "congestion",
        "Landings at the airport in the last 60 minutes, known by now.", COUNTS),
    Feature("holdings_30min_count", COUNT, "surroundings", "congestion",
        "Other flights that completed a turn of a holding in the last 30 minutes, within 40 NM of "
        "the airport; null in the history.", COUNTS),
    Feature("go_arounds_30min_count", COUNT, "surroundings", "congestion",
        "Go-arounds at the airport that became certain in the last 30 minutes; null in the "
        "history.", COUNTS),
    Feature("predecessor_age_min", NUMBER, "entries", "congestion",
        "Minutes since the previous inbound entry; null when there was none for an hour.",
        MINUTES),
    Feature("last_transit_min", NUMBER, "recent_transits", "recent transits",
        "Transit time of the last arrival known by now; null when none was known for six hours.",
        MINUTES),
    Feature("last_transit_age_min", NUMBER, "recent_transits", "recent transits",
        "Minutes since the landing of that arrival.", MINUTES),
    Feature("mean_last3_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 3 arrivals known by now, or of as many as there "
        "are.", MINUTES),
    Feature("mean_last5_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 5 arrivals known by now, or of as many as there "
        "are.", MINUTES),
    Feature("mean_last10_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 10 arrivals known by now, or of as many as there "
        "are.", MINUTES),
    Feature("mean_last20_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 20 arrivals known by now, or of as many as there "
        "are.", MINUTES),
    Feature("sector_last_transit_min", NUMBER, "recent_transits", "recent transits",
        "Transit time of the last arrival from the same octant.", MINUTES),
    Feature("sector_last_transit_age_min", NUMBER, "recent_transits", "recent transits",
        "Minutes since the landing of the last arrival from the same octant.", MINUTES),
    Feature("sector_mean_last3_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 3 arrivals from the same octant, or of as many as there "
        "are.", MINUTES),
    Feature("sector_mean_last5_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 5 arrivals from the same octant, or of as many as there "
        "are.", MINUTES),
    Feature("sector_mean_last10_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 10 arrivals from the same octant, or of as many as "
        "there are.", MINUTES),
    Feature("sector_mean_last20_transit_min", NUMBER, "recent_transits", "recent transits",
        "Mean transit time of the last 20 arrivals from the same octant, or of as many as "
        "there are.", MINUTES),
    Feature("runway_in_use_deg", NUMBER, "landings", None,
        "Direction of the last landing known by now, degrees true; in the history from the "
        "runway's name, magnetic and to ten degrees."),
    Feature("runway_in_use_sin", NUMBER, "landings", "runway in use",
        "Sine of the direction of the runway in use.", (-1, 1)),
    Feature("runway_in_use_cos", NUMBER, "landings", "runway in use",
        "Cosine of the direction of the runway in use.", (-1, 1)),
    Feature("wind_east_mps", NUMBER, "weather", "weather",
        "Wind in the airport's latest report that was sent by then and is younger than two hours: "
        "how fast the air moves towards the east. Null without a report, and if a wind above 3 kt "
        "is variable.", (-150, 150)),
    Feature("wind_north_mps", NUMBER, "weather", "weather",
        "How fast the air moves towards the north, by the same report.", (-150, 150)),
    Feature("wind_gust_mps", NUMBER, "weather", "weather",
        "Gust in the latest report; the mean wind if it has none.", (0, 150)),
    Feature("visibility_m", NUMBER, "weather", "weather",
        "Visibility in the latest report; 10,000 means 10 km or more.", (0, 100_000)),
    Feature("ceiling_m", NUMBER, "weather", "weather",
        "Height above the aerodrome of the lowest broken or overcast layer, or vertical "
        "visibility, in the latest report; null if there is none.", (0, 30_000)),
    Feature("local_hour", NUMBER, "unioned", "hour and weekday",
        "Hour of the day at the airport, with minutes as a fraction.", (0, 24)),
    Feature("local_weekday", COUNT, "unioned", "hour and weekday",
        "Day of the week at the airport, 1 is Monday.", (1, 7)),
)
# fmt: on

MODELS = ("crossing_features", "arrival_features", "live_arrivals")
"""The models that have all features, in ``models/features``."""

_BEGIN, _END = "      # Written by `make features`.\n", "      # Until here.\n"


def doc_blocks() -> str:
    """dbt's doc blocks, one a feature."""
    blocks = (
        f"{{% docs {one.name} %}}\n{one.meaning}\n{{% enddocs %}}\n"
        for one in sorted(TABLE, key=lambda one: one.name)
    )
    return "\n".join(("<!-- Written by `make features`. -->\n", *blocks))


def columns_macro() -> str:
    """The macro that tells dbt the features of each family."""
    families: dict[str, list[str]] = {}
    for one in _selected():
        families.setdefault(one.family, []).append(f"        '{one.name}',")
    lists = "\n".join(
        "\n".join((f"    '{family}': [", *names, "    ],")) for family, names in families.items()
    )
    return (
        "{#- Written by `make features`. -#}\n"
        "{%- macro features_by_family() -%}\n"
        f"{{{{ return({{\n{lists}\n}}) }}}}\n"
        "{%- endmacro -%}\n"
    )


def with_columns(properties: str) -> str:
    """A model's yml with the features between its two marks."""
    before, _, rest = properties.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    columns = (
        f"      - name: {one.name}\n"
        f"        data_type: {one.type}\n"
        f"        description: \"{{{{ doc('{one.name}') }}}}\"\n"
        for one in _selected()
    )
    return "".join((before, _BEGIN, *columns, _END, after))


def generated(project: Path) -> dict[Path, str]:
    """What of the dbt project follows from the table: the files and their content."""
    models = project / "models" / "features"
    properties = [models / f"{model}.yml" for model in MODELS]
    return {
        models / "features.md": doc_blocks(),
        project / "macros" / "features_by_family.sql": columns_macro(),
        **{path: with_columns(path.read_text()) for path in properties},
    }


def _selected() -> list[Feature]:
    """All but the airport, which is of the key."""
    return [one for one in TABLE if one.name != "airport"]


def main() -> None:
    """Write it."""
    from skyops_assets.settings import PROJECT_ROOT

    for path, content in generated(PROJECT_ROOT / "dbt_project").items():
        path.write_text(content)


if __name__ == "__main__":
    main()
