// /fleet: what was flown, by time, airline, type and airframe, and how well the feed heard it.

import { axis } from "./charts.js";
import { get } from "./data.js";
import { at, css, feet, knots, make } from "./format.js";
import { Card, asked, bar, dayOf, empty, fixed, hours, monthOf, nothing, percent, press } from "./fleet_parts.js";

/** @typedef {import("./fleet_parts.js").Page} Page */
/** @typedef {import("./data.js").Row} Row */

const SHOWN = 12, MOST_AIRFRAMES = 50, MOST_DAYS = 62;
const BY = /** @type {const} */ (["airline", "type", "airframe", "from", "through"]);
const NOBODY = "There are no flights yet: `skyops collect` brings live positions, `skyops load` recordings; the job `daily_operations` counts flights each morning, or at once from the Dagster UI.";

const time = new Card("use", "u-time", "Hours in the air by day");
const airlines = new Card("use", "u-airlines", "Hours by airline");
const types = new Card("use", "u-types", "Hours by type");
const areas = new Card("use", "u-areas", "Coverage of each watched airport, by week");
const airframes = new Card("use", "u-airframes", "Airframes", { wide: true });

/** @param {Page} page */
export async function use(page) {
  const { state } = page;
  if (!isType(state.type)) {
    empty([time, airlines, types, airframes], `${state.type} is a model named in reports; hours go by ICAO type designators, such as B738.`);
    await heard(page);
    return undefined;
  }
  const given = { ...page.period, airline: state.airline, typecode: state.type, ...airframe(state.airframe) };
  const path = (/** @type {string} */ of) => asked("fleet/totals", { of, limit: 5000, ...given });
  const [months, byAirline, byType, byAirframe] = await Promise.all(
    ["month", "airline", "type", "airframe"].map(async (of) => (await get(path(of))).data));
  const [cruise] = await Promise.all([
    get(asked("fleet", { by: "month", limit: 5000, ...given })), overTime(page, path, months), heard(page)]);
  if (!byAirframe.length) {
    empty([time, airlines, types, airframes], nothing(page, [...BY], NOBODY));
    return undefined;
  }
  shares(airlines, path("airline"), byAirline, "airline", "No flight's callsign names its airline.");
  shares(types, path("type"), byType, "type", "No airframe's type is known: set `SKYOPS_AIRCRAFT_CSV` to an aircraft database (docs/settings.md).");
  list(page, path("airframe"), byAirframe, cruise.data);
  options("airlines", byAirline.map((/** @type {Row} */ row) => row.name));
  options("airframes", byAirframe.slice(0, 500).map((/** @type {Row} */ row) => row.registration ?? row.name));
  return byType.map((/** @type {Row} */ row) => row.name);
}

/** @param {string} type */
export const isType = (type) => /^[A-Za-z0-9]{0,4}$/.test(type);

/** How it is asked for. @param {string} text an address or a registration */
export const airframe = (text) => (/^[0-9A-Fa-f]{6}$/.test(text) ? { icao24: text } : { registration: text });

/** @param {string} id @param {string[]} values */
export function options(id, values) {
  const known = values.filter((value) => value && value !== "unknown");
  at(id).replaceChildren(...known.map((value) => make("option", { value })));
}

/** @param {Page} page @param {(of: string) => string} path @param {Row[]} months */
async function overTime(page, path, months) {
  const by = page.state.by || (months.length * 31 > MOST_DAYS ? "month" : "day");
  const rows = (by === "month" ? months : (await get(path("day"))).data).toReversed();
  time.name(`Hours in the air by ${by}`);
  time.from(path(by), "fleet_daily");
  if (!rows.length) return;
  const name = (/** @type {Row} */ row) => (by === "month" ? monthOf(row.name) : dayOf(row.name));
  time.chart(() => {
    const { names, series, legend } = hours("x", rows, name);
    return {
      grid: { left: 44, right: 44, top: 26, bottom: 22 }, legend,
      xAxis: axis(names),
      yAxis: [axis({ type: "value" }), axis({
        type: "value", min: 0, max: 1, splitLine: { show: false }, axisLabel: { formatter: (/** @type {number} */ value) => percent(value) },
      })],
      tooltip: {
        axisPointer: { type: "shadow" },
        formatter: (/** @type {any[]} */ [one]) => {
          const row = rows[one.dataIndex];
          return [name(row), `${fixed(row.airborne_h)} h in the air, ${row.flight_count} flights of ${row.airframe_count} airframes`,
            `perhaps ${fixed(row.perhaps_airborne_h)} h; coverage ${percent(row.coverage_share)}`].join("\n");
        },
      },
      series: [...series, {
        name: "Coverage", type: "line", yAxisIndex: 1, symbolSize: 6, lineStyle: { width: 1.6 }, itemStyle: { color: css("--second") },
        data: rows.map((/** @type {Row} */ row) => row.coverage_share),
      }],
    };
  });
}

/** @param {Card} card @param {string} path @param {Row[]} rows @param {string} what they are @param {string} unknown */
function shares(card, path, rows, what, unknown) {
  card.from(path, "fleet_daily");
  const known = rows.filter((row) => row.name !== "unknown");
  if (!known.length) return card.show(unknown);
  const shown = known.slice(0, SHOWN).toReversed();
  const rest = known.length - shown.length, without = rows.find((row) => row.name === "unknown");
  const said = [
    rest > 0 && `${rest} more are in the CSV.`,
    without && `${without.airframe_count} airframes (${fixed(without.airborne_h, 0)} h) have no known ${what}.`].filter(Boolean).join(" ");
  return card.chart(() => {
    const { names, series, legend } = hours("y", shown, (/** @type {Row} */ row) => row.name);
    return {
      grid: { left: 48, right: 44, top: 24, bottom: 20 }, legend,
      xAxis: axis({ type: "value" }), yAxis: axis({ ...names, axisLabel: { interval: 0 } }),
      tooltip: {
        axisPointer: { type: "shadow" },
        formatter: (/** @type {any[]} */ [one]) => {
          const row = shown[one.dataIndex];
          return [row.name, `${fixed(row.airborne_h)} h in the air, perhaps ${fixed(row.perhaps_airborne_h)} h`,
            `${row.flight_count} flights of ${row.airframe_count} airframes; coverage ${percent(row.coverage_share)}`].join("\n");
        },
      },
      series,
    };
  }, said);
}

/** @param {Page} page @param {string} path @param {Row[]} rows @param {Row[]} cruise by month, newest first */
function list(page, path, rows, cruise) {
  airframes.name(rows.length > MOST_AIRFRAMES ? `Airframes with the most hours, ${MOST_AIRFRAMES} of ${rows.length.toLocaleString("en")}` : "Airframes");
  airframes.from(path, "fleet_daily");
  /** @type {Map<string, Row>} */
  const latest = new Map();
  for (const row of cruise) if (!latest.has(row.icao24)) latest.set(row.icao24, row);
  airframes.table([
    { name: "Airframe", head: true, cell: (row) => press(row.registration ?? row.name, () => page.go({ airframe: row.registration ?? row.name })) },
    { name: "Type", cell: (row) => row.typecode ?? "–" },
    { name: "Airline", cell: (row) => row.airline ?? "–" },
    { name: "Flights", number: true, cell: (row) => fixed(row.flight_count, 0) },
    { name: "Hours", number: true, cell: (row) => fixed(row.airborne_h) },
    { name: "Perhaps", number: true, cell: (row) => fixed(row.perhaps_airborne_h) },
    { name: "Coverage", cell: (row) => bar(row.coverage_share) },
    { name: "Hours per day flown", number: true, cell: (row) => fixed(row.day_airborne_h) },
    { name: "Days flown", number: true, cell: (row) => fixed(row.airframe_day_count, 0) },
    { name: "Cruise, latest month", number: true, cell: (row) => cruised(latest.get(row.name)) },
  ], rows.slice(0, MOST_AIRFRAMES));
}

/** @param {Row | undefined} row */
const cruised = (row) => (row?.mean_cruise_height_m == null ? "–" : `${feet(row.mean_cruise_height_m)}, ${knots(row.mean_cruise_speed_mps)}`);

/** @param {Page} page */
async function heard(page) {
  const names = page.sky.airports.map((/** @type {Row} */ one) => one.airport);
  const path = (/** @type {string} */ area) => asked("feed/reliability", { ...page.period, area, limit: 260 });
  /** @type {Row[]} */
  const rows = (await Promise.all(names.map(async (/** @type {string} */ area) => (await get(path(area))).data))).flat();
  areas.from(asked("feed/reliability", { ...page.period, limit: 5000 }), "feed_reliability_weekly");
  const known = rows.filter((row) => row.coverage_share != null);
  if (!known.length) {
    empty([areas], nothing(page, ["from", "through"], "No week has been counted yet: the job `weekly_reliability` runs on Mondays, or at once from the Dagster UI."));
    return;
  }
  const weeks = [...new Set(known.map((row) => row.week_on))].sort();
  const shown = names.filter((/** @type {string} */ one) => known.some((row) => row.area === one)).toReversed();
  areas.chart(() => ({
    grid: { left: 48, right: 10, top: 6, bottom: 22 },
    xAxis: axis({ type: "category", data: weeks.map(dayOf), splitLine: { show: false } }),
    yAxis: axis({ type: "category", data: shown, splitLine: { show: false } }),
    visualMap: { show: false, min: 0.5, max: 1, dimension: 2, inRange: { color: [css("--heat-2"), css("--heat-1"), css("--heat-good")] } },
    tooltip: {
      trigger: "item",
      formatter: (/** @type {any} */ { data: cell }) => {
        const row = known.find((one) => one.area === shown[cell[1]] && one.week_on === weeks[cell[0]]);
        return row ? [`${row.area}, week from ${dayOf(row.week_on)}`, `${percent(row.coverage_share, 1)} of the minutes of flights were heard`,
          `${row.gap_count} silences, the longest ${fixed(row.longest_gap_min)} min`].join("\n") : "";
      },
    },
    series: [{
      type: "heatmap", itemStyle: { borderColor: css("--panel"), borderWidth: 2, borderRadius: 2 },
      data: known.map((row) => [weeks.indexOf(row.week_on), shown.indexOf(row.area), row.coverage_share]),
      label: { show: weeks.length < 14, color: css("--text"), fontSize: 10.5, formatter: (/** @type {any} */ { data: cell }) => percent(cell[2]) },
    }],
  }), "Share of the minutes of flights within 100 NM in which they were heard.");
}
