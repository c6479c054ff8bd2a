// Where the rows of a chart or table are: as CSV, and what their table is in the dbt docs.

import { make } from "./format.js";

let docs = "";

/** The links to tables lead there. @param {string} base the address of the dbt docs */
export function setDocs(base) {
  docs = base;
}

/** For `.links` of a figure.
 * @param {string} title of the figure @param {string} path below /v1, as it was asked
 * @param {string} [model] of dbt, whose page it is; none of tables that SkyOps' own steps write */
export function links(title, path, model) {
  const csv = make("a", { href: `/v1/${path}&format=csv`, download: "", "aria-label": `${title}: rows as CSV` }, ["CSV"]);
  if (!model) return [csv];
  const page = `${docs}/#!/model/model.skyops.${model}`;
  return [csv, make("a", { href: page, "aria-label": `${title}: table ${model} in the dbt docs`, title: model }, ["Table"])];
}
