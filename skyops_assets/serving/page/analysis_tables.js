// The analysis page's tables: what is read rather than seen.

import { dayHour, make } from "./format.js";

/** @typedef {import("./data.js").Row} Row */

/** @param {string[]} heads those that end with a space hold numbers @param {(string | Node)[][]} lines */
function table(heads, lines) {
  /** @returns {Record<string, string>} */
  const kind = (/** @type {number} */ i) => (heads[i].endsWith(" ") ? { class: "number" } : {});
  return make("table", {}, [
    make("thead", {}, [make("tr", {}, heads.map((head, i) => make("th", { scope: "col", ...kind(i) }, [head.trim()])))]),
    make("tbody", {}, lines.map((line) => make("tr", {}, line.map((cell, i) => make("td", kind(i), [cell]))))),
  ]);
}

/** @param {number | null | undefined} value @param {number} [digits] */
const number = (value, digits = 2) => (value == null ? "–" : value.toFixed(digits));
/** @param {number | null | undefined} value */
const percent = (value) => (value == null ? "–" : `${(100 * value).toFixed(1)} %`);
/** @param {Row} row @param {string} name */
const interval = (row, name) =>
  row[name] == null ? "–" : `${percent(row[name])} (${number(100 * row[`${name}_low`], 1)} to ${number(100 * row[`${name}_high`], 1)})`;

/** @param {Row[]} rows */
export const scores = (rows) =>
  table(
    ["Candidate", "Role", "MAE, min ", "RMSE, min ", "R² ", "Bias, min ", "P90, min ", "Skill (95 %) ", "Gain over the champion ", "Arrivals "],
    rows.map((row) => [
      row.candidate, row.is_reference ? "best baseline" : row.role, number(row.mae_min), number(row.rmse_min), number(row.r2), number(row.bias_min),
      number(row.p90_min), interval(row, "skill"), interval(row, "champion_gain"), String(row.scored_rows),
    ]),
  );

/** @param {Row[]} rows */
export const changes = (rows) =>
  table(
    ["At", "Airport", "From", "To", "Landings before ", "after "],
    [...rows].reverse().map((row) => [
      dayHour(Date.parse(row.changed_at)), row.airport, row.from_direction, row.to_direction, String(row.landings_before_count), String(row.landings_after_count),
    ]),
  );

/** @param {Row[]} rows */
export const taxi = (rows) =>
  table(
    ["From", "Airport", "Direction", "Movements ", "Taxi, min ", "additional ", "told ", "On the runway, s ", "told "],
    [...rows].reverse().map((row) => [
      row.period_on, row.airport, row.direction.replaceAll("_", " "), String(row.movement_count), number(row.mean_taxi_min, 1), number(row.mean_additional_min, 1),
      percent(row.told_share), number(row.mean_occupancy_s, 0), percent(row.occupancy_share),
    ]),
  );

/** A light is green where all of its rules pass. @param {Row[]} rows @param {{state: Row | undefined}} context */
export function lights(rows, { state }) {
  const names = [...new Set(rows.map((row) => row.light))];
  const isGreen = (/** @type {string} */ name) => rows.every((row) => row.light !== name || row.is_passed);
  const holder = make("div");
  holder.append(
    make("p", { class: "strong" }, [state?.summary ? state.summary.charAt(0).toUpperCase() + state.summary.slice(1) : ""]),
    make("ul", { class: "lights" }, names.map((name) =>
      make("li", { class: isGreen(name) ? "green" : "red" }, [`${name ?? "other"}: ${isGreen(name) ? "green" : "red"}`]))),
    table(["Light", "Rule", "Verdict", "Found"], rows.map((row) => [
      row.light ?? "–", row.rule.replaceAll("_", " "),
      make("span", { class: row.is_passed ? "green" : "red" }, [row.is_passed ? "passes" : "fails"]), row.text,
    ])),
  );
  return holder;
}
