// The charts, by ECharts: phases, the timeline by phase, the heat map of anomalies, a flight's profile.

import { FEET, KNOTS, PHASES, at, colour, css, dayHour, minute, words } from "./format.js";

/** @type {Record<string, any>} */
const charts = {};

/** Draws into the element of that id, in the page's colours. @param {string} id @param {any} option */
export function draw(id, option) {
  const holder = at(id);
  if (!holder.clientWidth) return;
  charts[id] ??= echarts.init(holder, null, { renderer: "canvas" });
  if (charts[id].getWidth() !== holder.clientWidth) charts[id].resize();  // It was hidden when the window changed.
  charts[id].setOption(
    {
      animation: false, aria: { enabled: true },
      textStyle: { fontFamily: "system-ui, sans-serif", color: css("--text") },
      ...option,
      // Markup with styles would be against the page's own policy.
      tooltip: {
        renderMode: "richText", trigger: "axis", confine: true, backgroundColor: css("--panel"),
        borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 11 }, ...option.tooltip,
      },
    },
    { notMerge: true, lazyUpdate: true },
  );
}

addEventListener("resize", () => Object.values(charts).forEach((chart) => chart.resize()));

/** An axis in the page's colours. */
export const axis = (/** @type {any} */ more = {}) => ({
  axisLine: { lineStyle: { color: css("--line") } }, axisTick: { show: false },
  axisLabel: { color: css("--muted"), fontSize: 10.5, hideOverlap: true, ...more.axisLabel },
  splitLine: { lineStyle: { color: css("--grid") } },
  ...Object.fromEntries(Object.entries(more).filter(([name]) => name !== "axisLabel")),
});

/** @param {Map<string, number>} counts */
export function drawPhases(counts) {
  const shown = PHASES.filter((phase) => counts.has(phase)).reverse();
  const sum = [...counts.values()].reduce((a, b) => a + b, 0) || 1;
  draw("c-phases", {
    grid: { left: 66, right: 84, top: 4, bottom: 4 },
    xAxis: axis({ type: "value", show: false }),
    yAxis: axis({ type: "category", data: shown.map(words), axisLine: { show: false } }),
    series: [{
      type: "bar", barMaxWidth: 16, barCategoryGap: "25%",
      data: shown.map((phase) => ({ value: counts.get(phase), itemStyle: { color: colour(phase), borderRadius: 2 } })),
      label: {
        show: true, position: "right", color: css("--muted"), fontSize: 11,
        formatter: (/** @type {any} */ bar) => `${bar.value}  ${Math.round((100 * bar.value) / sum)} %`,
      },
    }],
  });
}

/** @param {Map<number, Map<string, number>>} minutes @param {number} now a line stands there */
export function drawTimeline(minutes, now) {
  const times = [...minutes.keys()].sort((a, b) => a - b);
  const shown = PHASES.filter((phase) => times.some((time) => minutes.get(time)?.has(phase)));
  draw("c-timeline", {
    grid: { left: 34, right: 10, top: 8, bottom: 20 },
    xAxis: axis({
      type: "time", axisLabel: { formatter: (/** @type {number} */ value) => minute(value) }, splitLine: { show: false },
    }),
    yAxis: axis({ type: "value", minInterval: 1 }),
    tooltip: {
      formatter: (/** @type {any[]} */ parts) => [
        minute(parts[0].value[0]),
        ...parts.filter((part) => part.value[1]).map((part) => `${part.seriesName}  ${part.value[1]}`)].join("\n"),
    },
    series: shown.map((phase, i) => ({
      name: words(phase), type: "line", stack: "all", symbol: "none", lineStyle: { width: 0 },
      areaStyle: { color: colour(phase), opacity: 0.85 }, itemStyle: { color: colour(phase) },
      data: times.map((time) => [time, minutes.get(time)?.get(phase) ?? 0]),
      markLine: i ? undefined : {
        silent: true, symbol: "none", label: { show: false }, data: [{ xAxis: now }],
        lineStyle: { color: css("--text"), width: 1, type: "solid" },
      },
    })),
  });
}

/** @param {any[]} rows hours of countries */
export function drawHeat(rows) {
  const hours = [...new Set(rows.map((row) => Date.parse(row.hour_at)))].sort((a, b) => a - b);
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const row of rows) sums.set(row.country, (sums.get(row.country) ?? 0) + row.anomaly_count);
  const shown = [...sums].filter(([, sum]) => sum).sort((a, b) => b[1] - a[1]).slice(0, 9).map(([name]) => name).reverse();
  const cells = rows
    .filter((row) => shown.includes(row.country))
    .map((row) => [hours.indexOf(Date.parse(row.hour_at)), shown.indexOf(row.country), row.anomaly_count]);
  const most = Math.max(1, ...cells.map((cell) => cell[2]));
  draw("c-heat", {
    grid: { left: 92, right: 10, top: 4, bottom: 20 },
    title: shown.length ? undefined : {
      text: "No anomalies in these hours", left: "center", top: "center",
      textStyle: { color: css("--muted"), fontSize: 12, fontWeight: "normal" },
    },
    xAxis: axis({ type: "category", show: shown.length > 0, data: hours.map(minute), splitLine: { show: false } }),
    yAxis: axis({
      type: "category", show: shown.length > 0, data: shown, axisLabel: { width: 84, overflow: "truncate" }, splitLine: { show: false },
    }),
    visualMap: { show: false, min: 0, max: most, inRange: { color: [css("--heat-0"), css("--heat-1"), css("--heat-2")] } },
    tooltip: {
      trigger: "item",
      formatter: (/** @type {any} */ cell) =>
        `${shown[cell.value[1]]}, ${dayHour(hours[cell.value[0]])}: ${cell.value[2]}`,
    },
    series: [{
      type: "heatmap", data: cells, itemStyle: { borderColor: css("--panel"), borderWidth: 2, borderRadius: 2 },
      label: { show: hours.length < 13, color: css("--text"), fontSize: 10.5 },
    }],
  });
}

/** @param {import("./data.js").Track | undefined} track @param {number} [now] in ms: a line stands there */
export function drawProfile(track, now) {
  const points = (/** @type {(number | null)[]} */ values, /** @type {number} */ factor) =>
    (track?.seconds ?? []).map((s, i) => [s * 1000, values[i] == null ? null : Math.round(Number(values[i]) * factor)]);
  draw("profile", {
    grid: { left: 46, right: 38, top: 20, bottom: 20 },
    legend: { right: 0, top: 0, itemWidth: 12, itemHeight: 2, textStyle: { color: css("--muted"), fontSize: 10.5 } },
    xAxis: axis({
      type: "time", axisLabel: { formatter: (/** @type {number} */ value) => minute(value) }, splitLine: { show: false },
    }),
    yAxis: [axis({ type: "value", name: "" }), axis({ type: "value", splitLine: { show: false } })],
    tooltip: {
      formatter: (/** @type {any[]} */ parts) => [
        minute(parts[0].value[0]), ...parts.map((part) => `${part.seriesName}  ${part.value[1] ?? "–"}`)].join("\n"),
    },
    series: [
      {
        name: "Altitude, ft", type: "line", symbol: "none", lineStyle: { width: 1.8 }, itemStyle: { color: css("--accent") },
        areaStyle: { opacity: 0.12 }, data: points(track?.altitude ?? [], FEET),
        markLine: now && {
          silent: true, symbol: "none", label: { show: false }, data: [{ xAxis: now }],
          lineStyle: { color: css("--text"), width: 1, type: "solid" },
        },
      },
      {
        name: "Speed, kt", type: "line", yAxisIndex: 1, symbol: "none", lineStyle: { width: 1.4 },
        itemStyle: { color: css("--second") }, data: points(track?.speed ?? [], KNOTS),
      },
    ],
  });
}
