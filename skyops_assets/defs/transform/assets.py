"""dbt: everything from the raw rows to the metrics and features, as assets and checks.

`live` has the models that show what is predicted from these: dbt's too, and built by `build` too.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)

from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED
from skyops_assets.errors import SkyOpsError
from skyops_assets.instance.dbt_cli import chosen_nodes
from skyops_assets.quality.dbt_tests import describe
from skyops_assets.transform.dbt import (
    APART,
    build_arguments,
    manifest_fingerprint,
    prepare_manifest,
    run_target,
)
from skyops_assets.transform.reprocess import Range, rows_of, take_again, timed_tables
from skyops_assets.transform.tables import column_sources, columns_of, row_count
from skyops_assets.warehouse.connection import Warehouse

REPROCESS = "reprocess"
"""The job that computes a range again."""
LINEAGE = "dagster/column_lineage"
LINEAGE_OF = "lineage_of"
"""What a materialisation's lineage was computed from, as a hash: the next one shows the same."""
Shown = Mapping[str, dg.MetadataValue[Any]]


class SkyOpsTranslator(DagsterDbtTranslator):
    """Keys are where the data lies (schema, table); tests say what their failure means."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """A model with what its place decides."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        # A source, which has no node, is an asset of ours.
        folder = ".".join(manifest["nodes"].get(unique_id, {"fqn": ()})["fqn"][1:-1])
        return spec.replace_attributes(**placed(*spec.key.path, folder=folder))

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        """A test has an owner, and says what its failure means and what to do."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        said = describe(manifest["nodes"][unique_id], ".".join(asset_spec.key.path))
        return spec._replace(description=said, metadata={**spec.metadata, **OWNED})


# Rejected rows and the books of loads are raw/opensky_states' too: sources with one key.
TRANSLATOR = SkyOpsTranslator(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
"""One: it remembers the specs that it has made."""
MANIFEST = prepare_manifest()
"""One: to see whether it is still that of the project reads all of its files."""


class Again(dg.Config):
    """The range to recompute in addition to new data. Set both times or neither.

    Attributes:
        since, until: times in ISO 8601; without an offset they are UTC.
    """

    since: str | None = None
    until: str | None = None


@chosen_nodes()(dbt_assets)(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR, exclude=APART)
def dbt_models(
    context: dg.AssetExecutionContext,
    config: Again,
    dbt: DbtCliResource,
    warehouse: WarehouseResource,
) -> Iterator[Any]:
    """Build and test the models in `dbt_project/`, up to the features that predictions use."""
    if config.since is None and config.until is None and context.job_name != REPROCESS:
        yield from build(context, dbt, warehouse)
        return
    if config.since is None or config.until is None:
        raise SkyOpsError(
            "Which range should be recomputed? Set `since` and `until` of `dbt_models` in the "
            "run's configuration, such as 2021-10-07T12:00, or run `skyops reprocess FROM TO`."
        )
    chosen, database, tables = (
        Range.of(config.since, config.until),
        warehouse.open(),
        timed_tables(),
    )
    before = {table: rows_of(database, table, time, chosen) for table, time in tables.items()}
    context.log.info(f"{take_again(database, chosen)} loads from {chosen} are recomputed.")
    for event in build(context, dbt, warehouse):
        table = (
            tuple(context.asset_key_for_output(event.output_name).path)
            if isinstance(event, dg.Output)
            else ()
        )
        if table not in tables:
            yield event
            continue
        after = rows_of(database, table, tables[table], chosen)
        context.log.info(f"{'.'.join(table)}: {before[table]:,} rows before, {after:,} after.")
        yield event.with_metadata(
            {
                **event.metadata,
                "reprocessed": str(chosen),
                "rows_of_it_before": before[table],
                "rows_of_it_after": after,
            }
        )


def build(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Run `dbt build` for the models of a step, and show what was made."""
    with warehouse.inherited():
        invocation = dbt.cli(
            build_arguments(),
            context=context,
            target_path=run_target(warehouse.settings.home, context.run.run_id),
        )
    # Not the stream's own `fetch_row_counts` and `fetch_column_metadata`: both wait for dbt in a
    # loop without a pause, which takes a core from it, and read a model's SQL for each column.
    # Measured in the demo on two cores: 70 s for a step in which dbt works for 20.
    at, project, before = warehouse.open(), manifest_fingerprint(), _shown_before(context)
    for event in invocation.stream():
        if isinstance(event, dg.Output):
            yield _described(event, invocation, context, at, project=project, before=before)
        else:
            yield _explained(event, context)


def _shown_before(context: dg.AssetExecutionContext) -> dict[dg.AssetKey, Shown]:
    """What the latest materialisation of each model shows."""
    found: dict[dg.AssetKey, Shown] = {}
    for record in context.instance.get_asset_records(sorted(context.selected_asset_keys)):
        entry = record.asset_entry.last_materialization
        if entry is not None and entry.asset_materialization is not None:
            found[record.asset_entry.asset_key] = entry.asset_materialization.metadata
    return found


def _described(
    event: dg.Output,
    invocation: DbtCliInvocation,
    context: dg.AssetExecutionContext,
    at: Warehouse,
    *,
    project: str,
    before: Mapping[dg.AssetKey, Shown],
) -> dg.Output:
    """A model's output with its rows, its columns, and the columns that each is made from.

    Args:
        project: the fingerprint of the dbt project.
        before: what the latest materialisations show. Their lineage is shown again where it is of
            the same project and columns: to read all models' SQL takes 6 s.
    """
    manifest = invocation.manifest
    model = manifest["nodes"][event.metadata["unique_id"].value]
    this = (model["schema"], model["alias"])
    parents = {
        (parent["schema"], parent.get("identifier") or parent["alias"]): parent
        for name in model["depends_on"]["nodes"]
        for parent in [manifest["nodes"].get(name) or manifest["sources"][name]]
    }
    shown: dict[str, Any] = {}
    try:
        if model["config"]["materialized"] != "standing_view":
            # A view would be computed for it.
            shown["dagster/row_count"] = row_count(at, this)
        known = columns_of(at, [this, *parents])
        shown["dagster/column_schema"] = dg.TableSchema(
            [dg.TableColumn(name, kind) for name, kind in known[this].items()]
        )
        columns = sorted([place, name, *known[place, name]] for place, name in known)
        made_from = f"{project} {json.dumps(columns)}"
        translator = invocation.dagster_dbt_translator
        last = before.get(translator.get_asset_key(model), {})
        shown[LINEAGE_OF] = dg.MetadataValue.text(hashlib.sha256(made_from.encode()).hexdigest())
        if LINEAGE in last and last.get(LINEAGE_OF) == shown[LINEAGE_OF]:
            shown[LINEAGE] = last[LINEAGE]
        else:
            query = Path(invocation.target_path, "compiled", model["package_name"])
            query /= model["original_file_path"]
            found = column_sources(query.read_text(), known)
            shown[LINEAGE] = dg.TableColumnLineage(
                {
                    column: [
                        dg.TableColumnDep(translator.get_asset_key(parents[table]), source)
                        for table, source in sorted(found.get(column, ()))
                        if table in parents
                    ]
                    for column in known[this]
                }
            )
    except Exception as error:
        # The model is made all the same: what is shown beside it is no reason to fail a run.
        context.log.warning(
            f"{model['original_file_path']}: its row count, columns or column lineage cannot "
            ""
            f"be shown ({type(error).__name__}: {error}). The table itself was built."
        )
    return event.with_metadata({**event.metadata, **shown})


def _explained(event: Any, context: dg.AssetExecutionContext) -> Any:
    """A failed test with its description, which dbt does not give."""
    if not isinstance(event, dg.AssetCheckResult) or event.passed:
        return event
    for spec in context.assets_def.check_specs:
        if (spec.asset_key, spec.name) == (event.asset_key, event.check_name):
            return event._replace(description=spec.description)
    return event
