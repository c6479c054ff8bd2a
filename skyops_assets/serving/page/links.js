// Where the rows of a chart or table are: as CSV, and what their table is in the dbt docs.

import { make } from "./format.js";

/** @type {string | null} */
let docs = null;

/** The links to tables lead there. @param {string | null} base the address of the dbt docs, where there are any */
export function setDocs(base) {
  const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  // "localhost" is the service's machine: a browser elsewhere has nothing there.
  docs = isHere || !base?.startsWith("http://localhost:") ? base : null;
}

/** For `.links` of a figure.
 * @param {string} title of the figure @param {string} path below /v1, as it was asked
 * @param {string} [table] in the dbt docs, as dbt names it: `model.skyops.fct_flights`; none of tables that SkyOps' own steps write */
export function links(title, path, table) {
  const asked = path.endsWith("?") ? path : `${path}&`;
  const csv = make("a", { href: `/v1/${asked}format=csv`, download: "", "aria-label": `${title}: rows as CSV` }, ["CSV"]);
  if (!docs || !table) return [csv];
  const [kind, , ...name] = table.split(".");
  const page = `${docs}/#!/${kind}/${table}`;
  return [csv, make("a", { href: page, target: "_blank", rel: "noopener", "aria-label": `${title}: the table ${name.join(".")} in the dbt docs`, title: name.join(".") }, ["Table"])];
}
