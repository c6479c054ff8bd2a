// /fleet: flights unlike the others with their tracks, and punctuality.

import { axis, drawProfile } from "./charts.js";
import { get, track } from "./data.js";
import { PHASES, at, colour, css, dayHour, make, minute, words } from "./format.js";
import { Card, asked, bar, dayOf, empty, fixed, given as byOperator, monthOf, nothing, percent, press } from "./fleet_parts.js";

/** @typedef {import("./fleet_parts.js").Page} Page */
/** @typedef {import("./data.js").Row} Row */

const MOST = 100, EVERY_S = 10, MOST_DAYS = 62;
/** Where a line ends and the next one of its series begins. */
const BREAK = ["-", "-"];
const NO_SCHEDULES = `No schedules: ${byOperator("daily_operations", "each morning")}`;

const list = new Card("flights", "a-flights", "Anomalous flights", { wide: true });
const plot = new Card("flights", "a-track", "Track", { tall: true });
const profile = new Card("flights", "profile", "Altitude and speed", { tall: true });
const time = new Card("punctuality", "p-time", "On time by day");
const airports = new Card("punctuality", "p-airports", "By airport");
const airlines = new Card("punctuality", "p-airlines", "By airline", { wide: true });

/** @param {Page} page */
export async function flights(page) {
  const { state } = page;
  if (!page.isKnown) {
    empty([list, plot, profile], `No flights of ${state.airframe} are known.`);
    return;
  }
  const typecode = state.type;
  if (typecode.length > 4) {
    empty([list, plot, profile], `${typecode} is a model named in reports; flights have ICAO type designators, such as B738.`);
    return;
  }
  const path = asked("anomalous-flights", { limit: MOST, ...page.period, airline: state.airline, typecode, icao24: page.icao24 });
  const { data, next } = await get(path);
  list.from(path);
  const none = nothing(page, ["airline", "type", "airframe", "from", "through"],
    "No finished flight is anomalous. `/v1/anomalous-flights?min_score=0` has the score of each.");
  const chosen = data.find((/** @type {Row} */ row) => row.flight_id === state.flight) ?? data[0];
  if (!chosen) {
    empty([list, plot, profile], none);
    return;
  }
  list.table([
    { name: "Flight", head: true, cell: (row) => press(row.callsign ?? row.icao24, () => page.go({ flight: row.flight_id }), row === chosen) },
    { name: "Airframe", cell: (row) => row.icao24 },
    { name: "Type", cell: (row) => row.typecode ?? "–" },
    { name: "From", cell: (row) => row.departure_airport ?? "–" },
    { name: "To", cell: (row) => row.arrival_airport ?? "–" },
    { name: "First heard, UTC", cell: (row) => dayHour(Date.parse(row.first_seen_at)) },
    { name: "Until", cell: (row) => minute(Date.parse(row.last_seen_at)) },
    { name: "Score", number: true, cell: (row) => fixed(row.anomaly_score, 2) },
    { name: "Why", wide: true, cell: (row) => (row.reasons ?? []).map((/** @type {any} */ one) => one.words).join("; ") || "–" },
  ], data, next ? `The newest ${MOST}; more are in the list's next page (/v1/anomalous-flights).` : "");
  await followed(page, chosen);
}

/** @param {Page} page @param {Row} row */
async function followed(page, row) {
  const name = row.callsign ?? row.icao24;
  const { tracks, phases } = await track(row.flight_id, EVERY_S);
  const found = tracks[0];
  plot.name(`${name}: track`);
  profile.name(`${name}: altitude and speed`);
  plot.from(asked("flights", { icao24: row.icao24, from: row.last_seen_at, limit: 1 }), "fct_flights");
  if (!found?.seconds.length) {
    for (const card of [plot, profile]) card.show("Its positions are no longer stored.");
    return;
  }
  const replay = make("a", { href: `/#replay=${row.first_seen_at.slice(0, 19)}Z` }, ["Replay"]);
  plot.links.prepend(replay);
  profile.links.replaceChildren(make("a", {
    href: `/v1/flights/${row.flight_id}/track?every_s=${EVERY_S}`, download: `${row.flight_id}.json`, "aria-label": `${name}: its positions as JSON`,
  }, ["JSON"]));
  profile.show("Pressure altitude above mean sea level; ground speed.", "chart");
  profile.draws(() => drawProfile(found));
  plot.chart(() => trackOf(page, found, phases), "Coloured by phase; circles are the 40 NM rings of the watched airports, short lines are runways.");
}

/** @param {import("./data.js").Track} found @param {string[]} phases @param {Page} page */
function trackOf(page, found, phases) {
  const holder = at("a-track");
  const square = squared(found.lon, found.lat, holder.clientWidth - 68, holder.clientHeight - 56);
  const names = [...new Set(found.phase)].map((one) => phases[one]).sort((a, b) => PHASES.indexOf(a) - PHASES.indexOf(b));
  const near = page.sky.airports.filter((/** @type {Row} */ one) =>
    within(one.longitude_deg, square.lon) && within(one.latitude_deg, square.lat));
  return {
    grid: { left: 54, right: 14, top: 30, bottom: 26 },
    legend: { top: 0, right: 0, type: "scroll", itemWidth: 14, itemHeight: 4, data: names.map(words), textStyle: { color: css("--muted"), fontSize: 10.5 } },
    xAxis: axis({ type: "value", min: square.lon[0], max: square.lon[1], axisLabel: { formatter: degrees("E", "W"), showMinLabel: false, showMaxLabel: false } }),
    yAxis: axis({ type: "value", min: square.lat[0], max: square.lat[1], axisLabel: { formatter: degrees("N", "S"), showMinLabel: false, showMaxLabel: false } }),
    tooltip: {
      trigger: "item",
      formatter: (/** @type {any} */ one) => {
        const i = one.data?.[2];
        if (i === undefined) return "";
        return [minute(found.seconds[i] * 1000), `${fixed((found.altitude[i] ?? 0) / 0.3048, 0)} ft, ${fixed((found.speed[i] ?? 0) * 3600 / 1852, 0)} kt`,
          words(phases[found.phase[i]])].join("\n");
      },
    },
    series: [
      {
        type: "line", silent: true, symbol: "none", lineStyle: { width: 1, color: css("--ring"), opacity: 0.5 },
        data: page.sky.airports.flatMap((/** @type {Row} */ one) => [...ring(one, 40), BREAK]),
      },
      {
        type: "line", silent: true, symbol: "none", lineStyle: { width: 3, color: css("--runway") },
        data: page.sky.runways.flatMap((/** @type {Row} */ one) =>
          [[one.from_longitude_deg, one.from_latitude_deg], [one.to_longitude_deg, one.to_latitude_deg], BREAK]),
      },
      {
        type: "scatter", silent: true, symbolSize: 1, itemStyle: { color: css("--muted") },
        data: near.map((/** @type {Row} */ one) => ({ value: [one.longitude_deg, one.latitude_deg], name: one.airport })),
        label: { show: true, formatter: "{b}", position: "right", distance: 8, color: css("--muted"), fontSize: 10.5 },
      },
      ...names.map((phase) => ({
        name: words(phase), type: "line", symbolSize: 4, symbol: "circle", showSymbol: true, itemStyle: { color: colour(phase) }, lineStyle: { width: 2 },
        data: pieces(found, phases.indexOf(phase)),
      })),
      {
        type: "scatter", symbol: "circle", symbolSize: 9, silent: true, itemStyle: { color: css("--panel"), borderColor: css("--text"), borderWidth: 2 },
        data: [0, found.seconds.length - 1].map((i) => ({ value: [found.lon[i], found.lat[i]], name: minute(found.seconds[i] * 1000) })),
        label: { show: true, formatter: "{b}", position: "top", color: css("--text"), fontSize: 11, fontWeight: 600 },
      },
    ],
  };
}

/** The parts of a track in a phase, each joined to what comes next. @param {import("./data.js").Track} found @param {number} phase */
function pieces(found, phase) {
  /** @type {any[]} */
  const points = [];
  found.phase.forEach((one, i) => {
    const was = i > 0 && found.phase[i - 1] === phase;
    if (one === phase || was) points.push([found.lon[i], found.lat[i], i]);
    if (one !== phase && was) points.push(BREAK);
  });
  return points;
}

/** What is shown, as wide and high as degrees are on the ground there.
 * @param {number[]} lon @param {number[]} lat @param {number} width @param {number} height */
function squared(lon, lat, width, height) {
  const [west, east, south, north] = [Math.min(...lon), Math.max(...lon), Math.min(...lat), Math.max(...lat)];
  const middle = [(west + east) / 2, (south + north) / 2], shrunk = Math.cos((middle[1] * Math.PI) / 180);
  const perPixel = 1.12 * Math.max((north - south) / Math.max(1, height), ((east - west) * shrunk) / Math.max(1, width), 0.0002);
  const [wide, high] = [(perPixel * width) / shrunk / 2, (perPixel * height) / 2];
  return { lon: [middle[0] - wide, middle[0] + wide], lat: [middle[1] - high, middle[1] + high] };
}

/** @param {number} value @param {number[]} range */
const within = (value, [low, high]) => value > low && value < high;

/** @param {string} more @param {string} less */
const degrees = (more, less) => (/** @type {number} */ value) => `${Math.abs(value).toFixed(2)}°${value < 0 ? less : more}`;

/** @param {Row} airport @param {number} nm */
function ring({ longitude_deg: lon, latitude_deg: lat }, nm) {
  const high = nm / 60, wide = high / Math.cos((lat * Math.PI) / 180);
  return Array.from({ length: 73 }, (_, i) => {
    const turn = (i * Math.PI) / 36;
    return [lon + wide * Math.sin(turn), lat + high * Math.cos(turn)];
  });
}

/** @param {Page} page */
export async function punctuality(page) {
  const { state } = page;
  const given = { ...page.period, airline: state.airline };
  const path = (/** @type {string} */ of) => asked("punctuality/totals", { of, ...given });
  const [byAirline, byAirport, months] = await Promise.all(
    ["airline", "airport", "month"].map(async (of) => (await get(path(of))).data));
  const by = state.by || (months.length * 31 > MOST_DAYS ? "month" : "day");
  /** @type {Row[]} */
  const rows = (by === "month" ? months : (await get(path("day"))).data).toReversed();
  time.name(`On time by ${by}`);
  for (const [card, of] of /** @type {[Card, string][]} */ ([[time, by], [airports, "airport"], [airlines, "airline"]])) {
    card.from(path(of), "punctuality_daily");
  }
  if (!rows.length) {
    empty([time, airports, airlines], nothing(page, ["airline", "from", "through"], NO_SCHEDULES));
    return;
  }
  const name = (/** @type {Row} */ row) => (by === "month" ? monthOf(row.name) : dayOf(row.name));
  time.chart(() => ({
    grid: { left: 40, right: 44, top: 26, bottom: 22 },
    legend: { top: 0, right: 0, itemWidth: 12, itemHeight: 8, textStyle: { color: css("--muted"), fontSize: 10.5 } },
    xAxis: axis({ type: "category", data: rows.map(name), splitLine: { show: false } }),
    yAxis: [axis({ type: "value", minInterval: 1 }), axis({
      type: "value", min: 0, max: 1, splitLine: { show: false }, axisLabel: { formatter: (/** @type {number} */ value) => percent(value) },
    })],
    tooltip: {
      axisPointer: { type: "shadow" },
      formatter: (/** @type {any[]} */ [one]) => {
        const row = rows[one.dataIndex];
        return [name(row), `${percent(row.on_time_share, 1)} of ${row.landed_count} on time; mean delay ${fixed(row.mean_arrival_delay_min)} min`,
          `${row.cancelled_count} cancelled, ${row.not_seen_count} not seen, ${row.extreme_delay_count} more than an hour late`].join("\n");
      },
    },
    series: [
      .../** @type {[string, (row: Row) => number, string][]} */ ([
        ["On time", (row) => row.on_time_count, "--good"], ["Late", (row) => row.landed_count - row.on_time_count, "--second"],
        ["Cancelled", (row) => row.cancelled_count, "--critical"], ["Not seen", (row) => row.not_seen_count, "--ring"],
      ]).map(([named, value, hue]) => ({
        name: named, type: "bar", stack: "all", barMaxWidth: 26, itemStyle: { color: css(hue) }, data: rows.map(value),
      })),
      {
        name: "On-time share", type: "line", yAxisIndex: 1, symbolSize: 6, lineStyle: { width: 1.6 }, itemStyle: { color: css("--text") },
        data: rows.map((row) => row.on_time_share),
      },
    ],
  }));
  const columns = [
    { name: "Arrivals", number: true, cell: (/** @type {Row} */ row) => fixed(row.scheduled_count, 0) },
    { name: "On time", cell: (/** @type {Row} */ row) => bar(row.on_time_share) },
    { name: "Mean delay, min", number: true, cell: (/** @type {Row} */ row) => fixed(row.mean_arrival_delay_min) },
    { name: "Over an hour late", number: true, cell: (/** @type {Row} */ row) => fixed(row.extreme_delay_count, 0) },
    { name: "Cancelled", number: true, cell: (/** @type {Row} */ row) => fixed(row.cancelled_count, 0) },
    { name: "Not seen", number: true, cell: (/** @type {Row} */ row) => fixed(row.not_seen_count, 0) },
  ];
  airports.table([{ name: "Airport", head: true, cell: (row) => row.name }, ...columns], byAirport);
  airlines.table([
    { name: "Airline", head: true, cell: (row) => press(row.name, () => page.go({ airline: row.name })) }, ...columns], byAirline.slice(0, MOST));
}
