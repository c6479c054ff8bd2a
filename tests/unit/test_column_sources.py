"""Which columns of other tables each column of a query is made from."""

from __future__ import annotations

from skyops_assets.transform.tables import column_sources

FIXES = ("staging", "fixes")
FIELDS = ("staging", "fields")
KNOWN = {
    FIXES: {"icao24": "text", "at": "timestamp with time zone", "altitude_m": "double precision"},
    FIELDS: {"field": "text", "elevation_m": "double precision"},
}


def test_a_column_leads_through_ctes_and_expressions_to_the_tables() -> None:
    found = column_sources(
        """
        with above as (
            select fixes.icao24, fixes.altitude_m - fields.elevation_m as height_m
            from "db"."staging"."fixes" as fixes
            cross join "db"."staging"."fields" as fields
        )
        select icao24, max(height_m) as max_height_m, count(*) as fixes, 1 as version
        from above group by icao24
        """,
        KNOWN,
    )
    assert found == {
        "icao24": {(FIXES, "icao24")},
        "max_height_m": {(FIXES, "altitude_m"), (FIELDS, "elevation_m")},
        "fixes": set(),
        "version": set(),
    }


def test_columns_without_their_table_are_those_that_it_has() -> None:
    found = column_sources(
        "select altitude_m, elevation_m from staging.fixes, staging.fields", KNOWN
    )
    assert found == {
        "altitude_m": {(FIXES, "altitude_m")}, "elevation_m": {(FIELDS, "elevation_m")},
    }  # fmt: skip


def test_a_star_stands_for_the_columns_of_the_table() -> None:
    assert column_sources("select * from staging.fixes", KNOWN) == {
        name: {(FIXES, name)} for name in KNOWN[FIXES]
    }


def test_both_sides_of_a_union_count() -> None:
    found = column_sources(
        "select icao24 as name from staging.fixes union all select field from staging.fields", KNOWN
    )
    assert found == {"name": {(FIXES, "icao24"), (FIELDS, "field")}}


def test_an_increment_that_reads_its_own_table_names_it() -> None:
    this = ("metrics", "fct_fixes")
    found = column_sources(
        """
        select icao24 from staging.fixes
        union all
        select icao24 from metrics.fct_fixes
        """,
        {**KNOWN, this: {"icao24": "text"}},
    )
    assert found == {"icao24": {(FIXES, "icao24"), (this, "icao24")}}
