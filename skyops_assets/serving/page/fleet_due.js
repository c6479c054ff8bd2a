// /fleet: what maintenance is due, how long components live, and what is expected of units.

import { axis } from "./charts.js";
import { get } from "./data.js";
import { css, make } from "./format.js";
import { Card, asked, between, dayOf, empty, fixed, given, nothing, percent, press, tag } from "./fleet_parts.js";
import { airframe } from "./fleet_use.js";

/** @typedef {import("./fleet_parts.js").Page} Page */
/** @typedef {import("./data.js").Row} Row */

const SHOWN = 60, UNITS = 24, WEEKS = 26, DAY_MS = 86_400_000;
const BY = /** @type {const} */ (["type", "airframe"]);
const NO_TASKS = `No maintenance programme and no bulletins: ${given("daily_operations", "each morning")}`;
const NO_LIVES = `No maintenance events, configurations or sensor readings: ${given("monthly_fleet", "on the first of a month")}`;
const NO_READINGS = `No sensor readings: ${given("monthly_fleet", "on the first of a month")}`;
/** @type {Record<string, [string, "" | "critical" | "warn" | "good"]>} */
const STATUS = { overdue: ["Overdue", "critical"], open: ["Open", ""], unknown: ["Not known", "warn"], done: ["Done", "good"] };
/** @type {Record<string, string>} */
const WHY = { never_recorded: "no event names it, so there is no starting point", done: "done" };

const weeks = new Card("due", "m-weeks", "Due by week");
const status = new Card("due", "m-status", "Tasks and bulletins by state");
const tasks = new Card("due", "m-tasks", "Due soonest", { wide: true });
const lives = new Card("lives", "l-lives", "Lives and intervals", { wide: true });
const curve = new Card("lives", "l-curve", "Survival");
const outlook = new Card("lives", "l-outlook", "Units with the least life left");
const decisions = new Card("lives", "l-decisions", "Decisions", { wide: true });

/** @param {Page} page */
export async function due(page) {
  const { type, airframe: wanted } = page.state;
  const named = airframe(wanted);
  const path = asked("maintenance/due", {
    order: "oldest", limit: 5000, fleet: type, icao24: named.icao24, airframe: named.registration,
  });
  const { data, next } = await get(path);
  for (const card of [weeks, status, tasks]) card.from(path, "maintenance_due");
  if (!data.length) {
    empty([weeks, status, tasks], nothing(page, [...BY], NO_TASKS));
    return;
  }
  const cut = next ? "  Only the 5,000 due first are included." : "";
  /** @type {Row[]} */
  const open = data.filter((/** @type {Row} */ row) => row.due_status !== "done" && row.forecast_on);
  const today = Date.parse(new Date().toISOString().slice(0, 10));
  const week = (/** @type {Row} */ row) => Math.floor((Date.parse(row.forecast_on) - today) / (7 * DAY_MS));
  if (open.length) {
    const counts = Array.from({ length: WEEKS }, (_, n) => open.filter((row) => row.due_status !== "overdue" && Math.max(0, week(row)) === n).length);
    const overdue = open.filter((row) => row.due_status === "overdue").length;
    const later = open.length - overdue - counts.reduce((sum, count) => sum + count, 0);
    const names = ["Overdue", ...counts.map((_, n) => dayOf(new Date(today + n * 7 * DAY_MS).toISOString().slice(0, 10)).slice(0, -5))];
    weeks.chart(() => ({
      grid: { left: 32, right: 12, top: 10, bottom: 22 },
      xAxis: axis({ type: "category", data: names, splitLine: { show: false } }), yAxis: axis({ type: "value", minInterval: 1 }),
      tooltip: {
        axisPointer: { type: "shadow" },
        formatter: (/** @type {any[]} */ [one]) => `${one.dataIndex ? "Week from " : ""}${one.name}: ${one.value} due`,
      },
      series: [{
        type: "bar", barMaxWidth: 22,
        data: [overdue, ...counts].map((value, n) => ({ value, itemStyle: { color: css(n ? "--accent" : "--critical") } })),
      }],
    }), `${later ? `${later} are due after these ${WEEKS} weeks.` : ""}${cut}`);
  } else weeks.show("No task has a known due date.");
  const states = Object.keys(STATUS).toReversed();
  status.chart(() => ({
    grid: { left: 76, right: 44, top: 8, bottom: 8 },
    xAxis: axis({ type: "value", show: false }),
    yAxis: axis({ type: "category", data: states.map((one) => STATUS[one][0]), axisLine: { show: false } }),
    tooltip: { show: false },
    series: [{
      type: "bar", barMaxWidth: 26, label: { show: true, position: "right", color: css("--text"), fontSize: 12 },
      data: states.map((one) => ({
        value: data.filter((/** @type {Row} */ row) => row.due_status === one).length,
        itemStyle: { color: css({ overdue: "--critical", open: "--accent", unknown: "--second" }[one] ?? "--good"), borderRadius: 2 },
      })),
    }],
  }), cut.trim());
  const rows = data.filter((/** @type {Row} */ row) => row.due_status !== "done");
  tasks.table([
    { name: "Airframe", head: true, cell: (row) => press(row.airframe, () => page.go({ airframe: row.airframe })) },
    { name: "Fleet", cell: (row) => row.fleet },
    { name: "Task", cell: (row) => row.task },
    { name: "What", wide: true, cell: (row) => row.description ?? (row.kind === "bulletin" ? "Bulletin" : "–") },
    { name: "State", cell: (row) => tag(...STATUS[row.due_status]) },
    { name: "Due", cell: (row) => row.forecast_on ? dayOf(row.forecast_on) : WHY[row.forecast_reason] ?? row.forecast_reason?.replaceAll("_", " ") ?? "–" },
    { name: "By", cell: (row) => row.first_limit ?? "–" },
    { name: "Hours left", number: true, cell: (row) => fixed(row.hours_to_go, 0) },
    { name: "Cycles left", number: true, cell: (row) => fixed(row.cycles_to_go, 0) },
    { name: "Days left", number: true, cell: (row) => fixed(row.days_to_go, 0) },
    { name: "Hours a day", number: true, cell: (row) => fixed(row.hours_per_day, 1) },
    { name: "Hours from", cell: (row) => row.exposure_source === "positions" ? "positions: due earlier" : row.exposure_source ?? "–" },
    { name: "Last done", cell: (row) => row.last_done_on ? dayOf(row.last_done_on) : "–" },
  ], rows.slice(0, SHOWN), `${rows.length > SHOWN ? `${fixed(rows.length - SHOWN, 0)} more are in the CSV.` : ""}${cut}`);
}

const lifeKey = (/** @type {Row} */ row) => [row.scope, row.component, row.measure].join("~");

/** @param {Page} page */
export async function live(page) {
  await Promise.all([lived(page), expected(), decided()]);
}

/** @param {Page} page */
async function lived(page) {
  const { ata, life } = page.state;
  const path = asked("maintenance/lives", { limit: 5000, ...(ata && { scope: "chapter", component: ata }) });
  /** @type {Row[]} */
  const rows = (await get(path)).data;
  lives.from(path);
  if (!rows.length) {
    empty([lives, curve], nothing(page, ["ata"], NO_LIVES));
    return;
  }
  rows.sort((a, b) => Number(b.recommended_interval != null) - Number(a.recommended_interval != null) || b.failure_count - a.failure_count);
  const chosen = rows.find((row) => lifeKey(row) === life) ?? rows[0];
  lives.table([
    { name: "Component", head: true, cell: (row) => press(row.scope === "chapter" ? `ATA ${row.component}` : row.component, () => page.go({ life: lifeKey(row) }), row === chosen) },
    { name: "In", cell: (row) => row.measure },
    { name: "Lives", number: true, cell: (row) => fixed(row.life_count, 0) },
    { name: "Failures", number: true, cell: (row) => fixed(row.failure_count, 0) },
    { name: "Median life", number: true, cell: (row) => fixed(row.median_life, 0) },
    { name: "Weibull's shape (95 %)", number: true, cell: (row) => between(row.weibull_shape, row.weibull_shape_low, row.weibull_shape_high, 2) },
    { name: "Age reached by the target share (95 %)", number: true, cell: (row) => between(row.interval_life, row.interval_low, row.interval_high, 0) },
    { name: "Recommended", number: true, cell: (row) => row.recommended_interval == null ? tag("No", "") : make("b", {}, [fixed(row.recommended_interval, 0)]) },
    { name: "Programme", number: true, cell: (row) => fixed(row.programme_interval, 0) },
    { name: "Why", wide: true, cell: (row) => row.decision },
  ], rows.slice(0, SHOWN), rows.length > SHOWN ? `${fixed(rows.length - SHOWN, 0)} more are in the CSV.` : "");
  const where = asked("maintenance/lives/curve", { scope: chosen.scope, component: chosen.component, measure: chosen.measure });
  /** @type {Row[]} */
  const steps = (await get(where)).data;
  curve.name(`${chosen.component}: share without a failure by age in ${chosen.measure}`);
  curve.from(where);
  if (!steps.length) return curve.show(`No life of ${chosen.component} has a known age in ${chosen.measure}.`);
  const all = [{ age: 0, survival: 1, low: 1, high: 1 }, ...steps];
  const line = (/** @type {string} */ column, /** @type {any} */ more) =>
    ({ type: "line", step: "end", symbol: "none", ...more, data: all.map((/** @type {Row} */ one) => [one.age, one[column]]) });
  // Of a share of nothing there is no band.
  const band = (/** @type {string} */ column) => ({
    ...line(column, { lineStyle: { width: 1, type: "dotted" }, itemStyle: { color: css("--accent") } }),
    data: all.map((/** @type {Row} */ one) => [one.age, one.survival ? one[column] : null]),
  });
  const mark = (/** @type {string} */ name, /** @type {number | null} */ at, /** @type {string} */ colour) => at == null ? [] : [{
    name, xAxis: at, lineStyle: { color: css(colour), width: 1.5 },
    label: { formatter: `${name} ${fixed(at, 0)}`, color: css(colour), fontSize: 10.5, position: "insideEndTop" },
  }];
  return curve.chart(() => ({
    grid: { left: 44, right: 16, top: 12, bottom: 22 },
    xAxis: axis({ type: "value" }),
    yAxis: axis({ type: "value", min: 0, max: 1, axisLabel: { formatter: (/** @type {number} */ value) => percent(value) } }),
    tooltip: {
      formatter: (/** @type {any[]} */ [one]) => {
        const step = all[one.dataIndex];
        return `${fixed(step.age, 0)} ${chosen.measure}: ${percent(step.survival, 1)} (${percent(step.low, 1)} to ${percent(step.high, 1)})`;
      },
    },
    series: [
      line("survival", {
        lineStyle: { width: 2 }, itemStyle: { color: css("--accent") },
        markLine: { symbol: "none", silent: true, data: [
          ...mark("recommended", chosen.recommended_interval, "--good"), ...mark("programme", chosen.programme_interval, "--second")] },
      }),
      band("low"),
      band("high"),
    ],
  }), `Kaplan-Meier with its 95 % band. ${chosen.recommended_interval == null ? `${chosen.decision}.` : `The interval is the age that ${percent(chosen.target_survival)} reach.`}`);
}

async function expected() {
  const path = asked("maintenance/outlook", { limit: 5000 });
  /** @type {Row[]} */
  const rows = (await get(path)).data;
  outlook.from(path);
  const known = rows.filter((row) => row.remaining_life_cycles != null).sort((a, b) => a.remaining_life_cycles - b.remaining_life_cycles);
  if (!known.length) return outlook.show(rows.length ? `There is no prediction for ${fixed(rows.length, 0)} units; reason for the first: ${rows[0].why_null}.` : NO_READINGS);
  const shown = known.slice(0, UNITS).toReversed();
  const at = known.filter((row) => row.is_at_limit).length;
  return outlook.chart(() => ({
    grid: { left: 74, right: 16, top: 8, bottom: 22 },
    xAxis: axis({ type: "value", min: 0 }),
    yAxis: axis({ type: "category", data: shown.map((row) => `${row.fleet} ${row.unit}`), axisLabel: { width: 68, overflow: "truncate" }, splitLine: { show: false } }),
    tooltip: {
      formatter: (/** @type {any[]} */ [one]) => {
        const row = shown[one.dataIndex];
        return [`${row.fleet} ${row.unit}${row.airframe ? `, ${row.airframe}` : ""}, cycle ${row.cycle}`,
          `${between(row.remaining_life_cycles, row.remaining_life_low_cycles, row.remaining_life_high_cycles, 0)} cycles left, 90 %`,
          `limit ${fixed(row.limit_cycles, 0)}; fails within ${row.within_cycles} cycles: ${percent(row.failure_probability)}`].join("\n");
      },
    },
    series: [
      { type: "bar", stack: "band", silent: true, itemStyle: { color: "transparent" }, data: shown.map((row) => row.remaining_life_low_cycles) },
      {
        type: "bar", stack: "band", barMaxWidth: 7,
        data: shown.map((row) => ({
          value: row.remaining_life_high_cycles - row.remaining_life_low_cycles,
          itemStyle: { color: css(row.is_at_limit ? "--critical" : "--accent"), opacity: 0.35, borderRadius: 3 },
        })),
      },
      {
        type: "scatter", symbolSize: 8,
        data: shown.map((row) => ({ value: [row.remaining_life_cycles, `${row.fleet} ${row.unit}`], itemStyle: { color: css(row.is_at_limit ? "--critical" : "--accent") } })),
      },
    ],
  }), `Cycles left, with the 90 % interval; units in red are at their limit (${at} of ${known.length}).${known.length > UNITS ? ` ${fixed(known.length - UNITS, 0)} more are in the CSV.` : ""}`);
}

async function decided() {
  const path = asked("maintenance/decisions", { limit: 30 });
  /** @type {Row[]} */
  const rows = (await get(path)).data;
  decisions.from(path);
  if (!rows.length) return decisions.show("No decisions yet: they need component lives or sensor readings.");
  return decisions.table([
    { name: "Decided", cell: (row) => dayOf(row.decided_at.slice(0, 10)) },
    { name: "Question", cell: (row) => row.question },
    { name: "Component", head: true, cell: (row) => row.scope === "chapter" ? `ATA ${row.component}` : row.component },
    { name: "In", cell: (row) => row.measure },
    { name: "Model", cell: (row) => row.model },
    { name: "Answer", cell: (row) => row.is_recommended ? tag("Recommended", "good") : tag("Not recommended", "") },
    { name: "Value", number: true, cell: (row) => fixed(row.value, 0) },
    { name: "Why", wide: true, cell: (row) => row.summary },
  ], rows, "The newest 30.");
}
