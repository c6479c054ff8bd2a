"""The one table of features, and what follows from it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from skyops_assets.arrivals import feature_table, features
from skyops_assets.arrivals.feature_table import GROUPS, TABLE
from skyops_assets.settings import PROJECT_ROOT

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
CROSSINGS = DBT_PROJECT / "models" / "intermediate" / "crossings"
OTHERS = tuple(
    f"dbt_project/models/{place}"
    for place in ("staging/", "live/", "fleet/", "reliability/", "metrics/fct_flights",
                  "metrics/fct_movements", "metrics/fct_taxi_times", "metrics/turnarounds",
                  "intermediate/ground/", "intermediate/asma/int_arrivals__asma_classed")
)  # fmt: skip


def test_each_feature_is_there_once_and_of_a_known_group() -> None:
    names = [one.name for one in TABLE]
    assert len(set(names)) == len(names)
    assert {one.group for one in TABLE} - {None} == set(GROUPS)
    assert set(features.FEATURES) == {one.name for one in TABLE if one.group}


def test_each_that_a_model_sees_says_what_it_takes() -> None:
    lacking = [one.name for one in TABLE if one.group and one.takes is None]
    assert lacking == ["airport"]
    for one in TABLE:
        if one.takes and one.type != feature_table.TEXT:
            low, high = one.takes
            assert float(low) < float(high), one.name


def test_what_dbt_has_of_the_table_is_as_make_features_writes_it() -> None:
    old = [
        str(path.relative_to(PROJECT_ROOT))
        for path, content in feature_table.generated(DBT_PROJECT).items()
        if path.read_text() != content
    ]
    assert old == [], "run `make features`"


def test_each_family_declares_its_features() -> None:
    for family in {one.family for one in TABLE}:
        properties = yaml.safe_load((CROSSINGS / f"int_crossings__{family}.yml").read_text())
        [model] = properties["models"]
        declared = {
            column["name"]: column["description"]
            for column in model["columns"]
            if column["description"].startswith("{{ doc(")
        }
        expected = {
            one.name: f"{{{{ doc('{one.name}') }}}}" for one in TABLE if one.family == family
        }
        assert expected.items() <= declared.items(), family


def test_the_contracts_have_the_types_of_the_table() -> None:
    for model in feature_table.MODELS:
        path = DBT_PROJECT / "models" / "features" / f"{model}.yml"
        [declared] = yaml.safe_load(path.read_text())["models"]
        types = {column["name"]: column["data_type"] for column in declared["columns"]}
        assert types | {one.name: one.type for one in TABLE} == types, model


def test_a_new_feature_is_written_into_four_files() -> None:
    """Its family's SQL and yml, the table, and its test; `make features` writes the others.

    Weather and aircraft have columns of that name where they come from, and flights, fleets and
    what is live show them. Python may name some for a reason of its own (a slice, a baseline, a
    sanity check), and has no list beside the table.
    """
    names = {one.name: one.family for one in TABLE if one.family != "unioned"}
    generated = feature_table.generated(DBT_PROJECT)
    listed: dict[str, set[str]] = {}
    for folder in ("skyops_assets", "dbt_project"):
        for path in (PROJECT_ROOT / folder).rglob("*"):
            skipped = path in generated or {"migrations", "target"} & set(path.parts)
            if path.suffix not in (".py", ".sql", ".yml", ".md", ".json") or skipped:
                continue
            words = set(re.findall(r"\w+", path.read_text()))
            if found := names.keys() & words:
                listed[str(path.relative_to(PROJECT_ROOT))] = found
    assert listed.pop("skyops_assets/arrivals/feature_table.py") == names.keys()
    for name, family in names.items():
        in_yml = listed[f"dbt_project/models/intermediate/crossings/int_crossings__{family}.yml"]
        assert name in in_yml
    for place, found in listed.items():
        if place.startswith("dbt_project/models/"):
            families = {f"int_crossings__{names[name]}" for name in found}
            assert families == {Path(place).stem} or place.startswith(OTHERS), place
        else:
            assert len(found) < len(names) / 5, place
