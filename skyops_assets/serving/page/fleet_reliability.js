// /fleet: events of each ATA chapter and part beside their levels, and departures without technical delay.

import { axis } from "./charts.js";
import { get } from "./data.js";
import { colour, css } from "./format.js";
import { Card, asked, between, dayOf, empty, fixed, given, monthOf, nothing, percent, press, tag } from "./fleet_parts.js";
import { options } from "./fleet_use.js";

/** @typedef {import("./fleet_parts.js").Page} Page */
/** @typedef {import("./data.js").Row} Row */

const MOST = 60, WEEKS = 260, LINES = 5;
const NO_EVENTS = `No maintenance events: ${given("weekly_reliability", "Mondays")}`;
const NO_SCHEDULES = `No schedules with delays: ${given("monthly_fleet", "on the first of a month")}`;
/** @type {Record<string, string>} Why there is no value. */
const WHY = {
  no_exposure: "no hours are known: give `exposure`", no_quantity: "no configuration gives the number fitted",
  no_quantity_of_some: "some removed parts are not in the configurations", not_confirmed: "shop confirmation is missing",
  no_removals: "none removed in 52 weeks", no_failures: "none failed in 52 weeks", less_than_16_months: "less than 16 months",
};
/** @type {Record<string, [string, "" | "critical" | "warn" | "good"]>} */
const LEVELS = { alert: ["Alert", "critical"], above_3_sd: ["Above 3 SD", "warn"], above_2_sd: ["Above 2 SD", "warn"], normal: ["Normal", "good"] };
const RANK = Object.keys(LEVELS);

const chapters = new Card("reliability", "r-chapters", "ATA chapters now", { wide: true });
const rate = new Card("reliability", "r-rate", "Rate and levels");
const events = new Card("reliability", "r-events", "Events by week");
const parts = new Card("reliability", "r-parts", "Parts: hours between removals and between failures", { wide: true });
const dispatch = new Card("reliability", "r-dispatch", "Dispatch reliability by month");

const key = (/** @type {Row} */ row) => [row.fleet, row.ata_chapter, row.part_number].join("~");
const nameOf = (/** @type {Row} */ row) => [row.fleet, `ATA ${row.ata_chapter}`, row.part_number].filter(Boolean).join(", ");
const why = (/** @type {string | null} */ reason) => (reason ? WHY[reason] ?? reason.replaceAll("_", " ") : "–");
const level = (/** @type {Row} */ row) => (row.alert_level ? tag(...LEVELS[row.alert_level]) : tag(why(row.alert_reason ?? row.rate_reason), ""));

/** @param {Page} page */
export async function reliability(page) {
  const { state } = page;
  await Promise.all([components(page), dispatched(page)]);
  if (state.airframe || state.airline) {
    chapters.said.hidden = false;
    chapters.said.append(" Rates cover whole fleets: the airline and airframe filters do not apply here.");
  }
}

/** @param {Page} page */
async function components(page) {
  const { state } = page;
  const filters = { fleet: state.type, ata_chapter: state.ata };
  // The latest week with levels of each; of a period that is past, its last week.
  let path = asked("reliability", { ...filters, is_current: true, limit: 5000 });
  /** @type {Row[]} */
  let rows = (await get(path)).data;
  const isPast = Boolean(state.from || state.through) || !rows.length;
  if (isPast) {
    path = asked("reliability", { ...filters, ...page.period, limit: 5000 });
    const last = (await get(path)).data;
    rows = [...new Map(last.toReversed().map((/** @type {Row} */ row) => [key(row), row])).values()];
  }
  options("chapters", [...new Set(rows.map((row) => row.ata_chapter))].sort());
  const order = (/** @type {Row} */ row) => (row.alert_level ? RANK.indexOf(row.alert_level) : RANK.length);
  rows.sort((a, b) => order(a) - order(b) || (b.excess_sd ?? -99) - (a.excess_sd ?? -99) || (b.year_event_count ?? 0) - (a.year_event_count ?? 0));
  const whole = rows.filter((row) => !row.part_number), single = rows.filter((row) => row.part_number);
  const none = nothing(page, ["type", "from", "through", "ata"], NO_EVENTS);
  const chosen = rows.find((row) => key(row) === state.component) ?? whole[0] ?? single[0];
  const choose = (/** @type {Row} */ row, /** @type {string} */ text) => press(text, () => page.go({ component: key(row) }), row === chosen);
  for (const card of [chapters, parts]) card.from(path, "component_reliability_weekly");
  if (!chosen) {
    empty([chapters, rate, events, parts], none);
    return;
  }
  if (whole.length) {
    chapters.name(isPast ? "ATA chapters at the end of the period" : "ATA chapters now");
    const count = whole.filter((row) => row.alert_level === "alert").length;
    chapters.table([
      { name: "Fleet", cell: (row) => row.fleet },
      { name: "ATA", head: true, cell: (row) => choose(row, row.ata_chapter) },
      { name: "State", cell: level },
      { name: "Month's rate", number: true, cell: (row) => fixed(row.month_rate_per_1000_hours, 2) },
      { name: "Mean", number: true, cell: (row) => fixed(row.level_mean_per_1000_hours, 2) },
      { name: "+2 SD", number: true, cell: (row) => fixed(row.level_2sd_per_1000_hours, 2) },
      { name: "+3 SD", number: true, cell: (row) => fixed(row.level_3sd_per_1000_hours, 2) },
      { name: "Year's rate (95 %)", number: true, cell: (row) => between(row.rate_per_1000_hours, row.rate_per_1000_hours_low, row.rate_per_1000_hours_high, 2) },
      { name: "Trend", cell: (row) => row.trend ?? "–" },
      { name: "Events in 52 weeks", number: true, cell: (row) => fixed(row.year_event_count, 0) },
      { name: "Hours from", cell: (row) => row.exposure_source ? `${row.exposure_source}${row.coverage_share == null ? "" : `, ${percent(row.coverage_share)} heard`}` : "–" },
      { name: "Week from", cell: (row) => dayOf(row.week_on) },
    ], whole.slice(0, MOST), `${count ? `${count} in alert. ` : ""}Rates are per 1,000 flight hours.${whole.length > MOST ? ` ${fixed(whole.length - MOST, 0)} more are in the CSV.` : ""}`);
  } else chapters.show("There are no rows for whole chapters.");
  if (single.length) {
    parts.table([
      { name: "Fleet", cell: (row) => row.fleet },
      { name: "ATA", cell: (row) => row.ata_chapter },
      { name: "Part", head: true, cell: (row) => choose(row, row.part_number) },
      { name: "State", cell: level },
      { name: "MTBUR, h (95 %)", number: true, cell: (row) => row.mtbur_h == null ? why(row.mtbur_reason) : between(row.mtbur_h, row.mtbur_low_h, row.mtbur_high_h, 0) },
      { name: "MTBF, h (95 %)", number: true, cell: (row) => row.mtbf_h == null ? why(row.mtbf_reason) : between(row.mtbf_h, row.mtbf_low_h, row.mtbf_high_h, 0) },
      { name: "Removals in 52 weeks", number: true, cell: (row) => fixed(row.year_removal_count, 0) },
      { name: "Failures", number: true, cell: (row) => fixed(row.year_failure_count, 0) },
      { name: "Trend", cell: (row) => row.trend ?? "–" },
    ], single.slice(0, MOST), single.length > MOST ? `${fixed(single.length - MOST, 0)} more are in the CSV.` : "");
  } else parts.show("No part was removed, failed or is in a configuration: provide part numbers.");
  await component(page, chosen);
}

/** @param {Page} page @param {Row} row */
async function component(page, row) {
  const path = asked("reliability", { ...page.period, fleet: row.fleet, ata_chapter: row.ata_chapter, limit: WEEKS })
    + `&part_number=${encodeURIComponent(row.part_number)}`;
  /** @type {Row[]} */
  const weeks = (await get(path)).data.toReversed();
  rate.name(`${nameOf(row)}: rate and levels`);
  events.name(`${nameOf(row)}: events by week`);
  for (const card of [rate, events]) card.from(path, "component_reliability_weekly");
  const line = (/** @type {string} */ name, /** @type {string} */ column, /** @type {any} */ more) => ({
    name, type: "line", symbol: "none", lineStyle: { width: 1.3 }, ...more,
    data: weeks.map((one) => [one.week_on, one[column]]),
  });
  const dashed = (/** @type {string} */ hue) => ({ itemStyle: { color: css(hue) }, lineStyle: { width: 1.2, type: "dashed" } });
  const x = () => axis({ type: "time", splitLine: { show: false } });
  const legend = () => ({ top: 0, right: 0, type: "scroll", itemWidth: 14, itemHeight: 7, textStyle: { color: css("--muted"), fontSize: 10.5 } });
  if (weeks.every((one) => one.rate_per_1000_hours == null && one.month_rate_per_1000_hours == null)) {
    rate.show(`There is no rate: ${why(row.rate_reason)}.`);
  } else {
    // Not the band's, which is wide while there is hardly a year.
    const most = Math.max(...weeks.flatMap((one) => [one.month_rate_per_1000_hours, one.level_3sd_per_1000_hours, one.rate_per_1000_hours]));
    const top = most ? Number((1.15 * most).toPrecision(2)) : undefined;
    rate.chart(() => ({
      grid: { left: 40, right: 12, top: 28, bottom: 22 }, xAxis: x(), yAxis: axis({ type: "value", min: 0, max: top }),
      legend: { ...legend(), data: ["Month's rate", "Year's rate", "Mean", "+2 SD", "+3 SD", "Alert"] },
      tooltip: {
        formatter: (/** @type {any[]} */ lines) => {
          const one = weeks.find((week) => week.week_on === lines[0].value[0]) ?? {};
          return [`Week from ${dayOf(one.week_on)}`, `month's rate ${fixed(one.month_rate_per_1000_hours, 2)}`,
            `mean ${fixed(one.level_mean_per_1000_hours, 2)}, +2 SD ${fixed(one.level_2sd_per_1000_hours, 2)}, +3 SD ${fixed(one.level_3sd_per_1000_hours, 2)}`,
            `year's rate ${between(one.rate_per_1000_hours, one.rate_per_1000_hours_low, one.rate_per_1000_hours_high, 2)}`,
            one.alert_level ? LEVELS[one.alert_level][0] : why(one.alert_reason)].join("\n");
        },
      },
      series: [
        line("low", "rate_per_1000_hours_low", { stack: "band", lineStyle: { width: 0 }, silent: true }),
        {
          ...line("high", "", { stack: "band", lineStyle: { width: 0 }, areaStyle: { color: css("--muted"), opacity: 0.16 }, silent: true }),
          data: weeks.map((one) => [one.week_on, one.rate_per_1000_hours_high == null ? null : one.rate_per_1000_hours_high - one.rate_per_1000_hours_low]),
        },
        line("Year's rate", "rate_per_1000_hours", { itemStyle: { color: css("--muted") } }),
        line("Mean", "level_mean_per_1000_hours", dashed("--good")),
        line("+2 SD", "level_2sd_per_1000_hours", dashed("--second")),
        line("+3 SD", "level_3sd_per_1000_hours", dashed("--critical")),
        line("Month's rate", "month_rate_per_1000_hours", { itemStyle: { color: css("--accent") }, lineStyle: { width: 2.2 } }),
        {
          name: "Alert", type: "scatter", symbolSize: 8, itemStyle: { color: css("--critical") },
          data: weeks.filter((one) => one.alert_level === "alert").map((one) => [one.week_on, one.month_rate_per_1000_hours]),
        },
      ],
    }), "The band is the exact 95 % interval of the year's rate.");
  }
  const bars = (/** @type {string} */ name, /** @type {string} */ hue, /** @type {(row: Row) => number} */ value, /** @type {string} */ stack) => ({
    name, type: "bar", stack, barMaxWidth: 8, itemStyle: { color: css(hue) }, data: weeks.map((one) => [one.week_on, value(one)]),
  });
  events.chart(() => ({
    grid: { left: 32, right: 12, top: 28, bottom: 22 }, xAxis: x(), yAxis: axis({ type: "value", minInterval: 1 }),
    legend: legend(), tooltip: { axisPointer: { type: "shadow" }, formatter: (/** @type {any[]} */ found) =>
      [`Week from ${dayOf(found[0].value[0])}`, ...found.map((one) => `${one.seriesName}  ${one.value[1]}`)].join("\n") },
    series: [
      bars("Unplanned, removed", "--second", (one) => one.unscheduled_removal_count, "all"),
      bars("Unplanned, else", "--accent", (one) => one.unscheduled_event_count - one.unscheduled_removal_count, "all"),
      bars("Planned", "--ring", (one) => one.event_count - one.unscheduled_event_count, "all"),
    ],
  }));
}

/** @param {Page} page */
async function dispatched(page) {
  const { state } = page;
  const path = asked("reliability/dispatch", { ...page.period, airline: state.airline, fleet: state.type, limit: 5000 });
  const { data, next } = await get(path);
  dispatch.from(path, "dispatch_reliability_monthly");
  if (!data.length) return dispatch.show(nothing(page, ["airline", "type", "from", "through"], NO_SCHEDULES));
  /** @type {Map<string, Row[]>} */
  const lines = new Map();
  for (const row of data.toReversed()) {
    const name = `${row.airline} ${row.fleet}`;
    lines.set(name, [...(lines.get(name) ?? []), row]);
  }
  const flown = (/** @type {Row[]} */ rows) => rows.reduce((sum, row) => sum + row.departure_count, 0);
  const shown = [...lines].sort((a, b) => flown(b[1]) - flown(a[1])).filter(([, rows]) => rows.some((row) => row.dispatch_reliability_share != null));
  if (!shown.length) {
    const reason = data.find((/** @type {Row} */ row) => row.dispatch_reliability_reason)?.dispatch_reliability_reason;
    return dispatch.show(`There is no share: ${why(reason)}. Schedules say by \`is_technical\` whether a delay or cancellation had a technical cause.`);
  }
  const months = [...new Set(data.map((/** @type {Row} */ row) => row.month_on))].sort();
  const colours = ["CRUISE", "APPROACH", "CLIMB", "LEVEL", "LANDING"];
  return dispatch.chart(() => ({
    grid: { left: 50, right: 14, top: 28, bottom: 22 },
    xAxis: axis({ type: "category", data: months.map(monthOf), splitLine: { show: false } }),
    yAxis: axis({ type: "value", scale: true, max: 1, axisLabel: { formatter: (/** @type {number} */ value) => percent(value, 1) } }),
    legend: { top: 0, right: 0, type: "scroll", itemWidth: 14, itemHeight: 7, textStyle: { color: css("--muted"), fontSize: 10.5 } },
    tooltip: {
      formatter: (/** @type {any[]} */ found) => [monthOf(months[found[0].dataIndex]), ...shown.slice(0, LINES).map(([name, rows]) => {
        const row = rows.find((one) => one.month_on === months[found[0].dataIndex]);
        return row && `${name}  ${percent(row.dispatch_reliability_share, 2)} (${percent(row.dispatch_reliability_share_low, 2)} to ${percent(row.dispatch_reliability_share_high, 2)}), ${row.technical_count} of ${row.departure_count} technical`;
      }).filter(Boolean)].join("\n"),
    },
    series: shown.slice(0, LINES).map(([name, rows], i) => ({
      name, type: "line", symbolSize: 5, itemStyle: { color: colour(colours[i]) }, lineStyle: { width: 1.6 },
      data: months.map((month) => rows.find((row) => row.month_on === month)?.dispatch_reliability_share ?? null),
    })),
  }), `Departures neither late nor cancelled for a technical reason.${shown.length > LINES ? ` ${shown.length - LINES} more are in the CSV.` : ""}${next ? " Of the newest 5,000 rows." : ""}`);
}
