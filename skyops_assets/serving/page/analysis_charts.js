// The analysis page's charts, as ECharts draws them.

import { axis } from "./charts.js";
import { FEET, KNOTS, PHASES, colour, css, day, dayHour, minute, words } from "./format.js";

/** @typedef {import("./data.js").Row} Row */

// Told apart by those who see no red or green too (Okabe and Ito), in both sets of colours.
const COLOURS = ["#3b8fd0", "#e69f00", "#1fa187", "#cc79a7", "#d55e00", "#7b8fe0", "#a6a032", "#8f9aa5", "#6fb7e0", "#b06fd0", "#50a050", "#c09060"];

/** @param {string} [name] what stands at it */
const values = (name = "", more = {}) => axis({ type: "value", name, nameTextStyle: { color: css("--muted"), fontSize: 10.5, align: "left" }, nameGap: 8, ...more });
const times = (more = {}) => axis({ type: "time", splitLine: { show: false }, axisLabel: { formatter: (/** @type {number} */ ms) => when(ms) }, ...more });
/** Midnights by their day. @param {number} ms */
const when = (ms) => (minute(ms) === "00:00" ? day(ms).replace(/ \d{4}$/, "") : minute(ms));
const legend = (more = {}) => ({ type: "scroll", top: 0, left: 0, right: 0, itemWidth: 12, itemHeight: 8, textStyle: { color: css("--muted"), fontSize: 10.5 }, pageTextStyle: { color: css("--muted") }, pageIconColor: css("--text"), ...more });
const grid = (more = {}) => ({ left: 44, right: 14, top: 28, bottom: 24, ...more });
/** A tooltip that writes its own lines. @param {(parts: any) => string} formatter @param {"axis" | "item"} [trigger] */
const tip = (formatter, trigger = "axis") => ({
  renderMode: "richText", trigger, confine: true, backgroundColor: css("--panel"), borderColor: css("--line"),
  textStyle: { color: css("--text"), fontSize: 11 }, formatter,
});
const round = (/** @type {number | null} */ value, digits = 2) => (value == null ? "–" : (Number(value.toFixed(digits)) || 0).toLocaleString("en"));
const percent = (/** @type {number} */ share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
/** Lines of a tooltip over a time. @param {any[]} parts @param {(ms: number) => string} [write] */
const over = (parts, write = dayHour) =>
  [write(parts[0].value[0]), ...parts.filter((part) => part.value[1]).map((part) => `${part.seriesName}  ${round(part.value[1])}`)].join("\n");
const sum = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);
/** @template T @param {T[]} all @returns {T[]} */
const unique = (all) => [...new Set(all)];
const line = (/** @type {any} */ more) => ({ type: "line", symbol: "none", lineStyle: { width: 1.8 }, ...more });

/** @param {Row[]} rows */
export const altitudes = (rows) => {
  const all = sum(rows.map((row) => row.minute_count));
  return {
    grid: grid({ right: 14, left: 50 }), legend: legend(),
    xAxis: axis({ type: "category", data: rows.map((row) => Math.round((row.from_altitude_m * FEET) / 100) / 10), name: "1,000 ft", nameLocation: "middle", nameGap: 20, nameTextStyle: { color: css("--muted"), fontSize: 10.5 } }),
    yAxis: values(),
    tooltip: tip((parts) => [
      `${round(rows[parts[0].dataIndex].from_altitude_m * FEET, 0)} to ${round(rows[parts[0].dataIndex].to_altitude_m * FEET, 0)} ft`,
      ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${round(part.value, 0)}`)].join("\n")),
    series: [
      { name: "Aircraft minutes", type: "bar", barCategoryGap: "8%", itemStyle: { color: css("--accent"), opacity: 0.6 }, data: rows.map((row) => row.minute_count) },
      line({ name: "Density", smooth: true, itemStyle: { color: css("--second") }, data: rows.map((row) => row.density_share * all) }),
    ],
  };
};

/** Bars that lie, with their names at the left. @param {string[]} names @param {any[]} series @param {any} more */
const lying = (names, series, { left = 96, unit = "", right = 60, isNamed = false } = {}) => ({
  grid: { left, right, top: isNamed ? 26 : 4, bottom: unit ? 34 : 8 }, legend: isNamed ? legend() : undefined,
  xAxis: values(unit, { nameLocation: "middle", nameGap: 20, nameTextStyle: { color: css("--muted"), fontSize: 10.5 }, show: Boolean(unit) }),
  yAxis: axis({ type: "category", inverse: true, data: names, axisLabel: { width: left - 10, overflow: "truncate", interval: 0 } }),
  series: series.map((one) => ({ type: "bar", barMaxWidth: 16, label: { show: true, position: "right", color: css("--muted"), fontSize: 10.5 }, ...one })),
});

/** @param {Row[]} rows */
export const phases = (rows) => {
  const shown = PHASES.flatMap((phase) => rows.filter((row) => row.phase === phase));
  return {
    ...lying(shown.map((row) => words(row.phase)), [{
      data: shown.map((row) => ({ value: row.share, itemStyle: { color: colour(row.phase) } })),
      label: { show: true, position: "right", color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ bar) => percent(bar.value, 1) },
    }]),
    tooltip: tip((parts) => `${parts[0].name}\n${round(shown[parts[0].dataIndex].minute_count, 0)} aircraft minutes`),
  };
};

/** @param {Row[]} rows */
export const countries = (rows) => {
  const shown = rows.slice(0, 12);
  return {
    ...lying(shown.map((row) => row.country), [{
      itemStyle: { color: css("--accent") }, data: shown.map((row) => row.mean_ground_speed_mps * KNOTS),
      label: { show: true, position: "right", color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ bar) => `${round(bar.value, 0)} kt` },
    }], { left: 116 }),
    tooltip: tip((parts) => {
      const row = shown[parts[0].dataIndex];
      return `${row.country}\nmean ${round(row.mean_ground_speed_mps * KNOTS, 0)} kt, maximum ${round(row.max_ground_speed_mps * KNOTS, 0)} kt\n${row.aircraft_count} aircraft, ${round(row.minute_count, 0)} minutes`;
    }),
  };
};

/** @param {Row[]} rows */
export const correlations = (rows) => {
  const names = unique(rows.flatMap((row) => [row.feature, row.other_feature]));
  const cells = [
    ...names.map((_, i) => [i, i, 1]),
    ...rows.flatMap((row) => {
      const [a, b] = [names.indexOf(row.feature), names.indexOf(row.other_feature)];
      const value = row.correlation == null ? "-" : row.correlation;
      return [[a, b, value], [b, a, value]];
    }),
  ];
  return {
    grid: grid({ left: 62, top: 6, right: 6 }),
    xAxis: axis({ type: "category", data: names.map(words), axisLabel: { interval: 0 }, splitLine: { show: false } }),
    yAxis: axis({ type: "category", inverse: true, data: names.map(words), splitLine: { show: false } }),
    visualMap: { show: false, min: -1, max: 1, inRange: { color: [css("--second"), css("--heat-0"), css("--accent")] } },
    tooltip: tip((cell) => `${words(names[cell.value[0]])} and ${names[cell.value[1]]}: ${round(cell.value[2])}`, "item"),
    series: [{
      type: "heatmap", itemStyle: { borderColor: css("--panel"), borderWidth: 2, borderRadius: 2 },
      data: cells.map((value) => (Math.abs(Number(value[2])) > 0.6 ? { value, label: { color: css("--panel") } } : value)),
      label: { show: true, color: css("--text"), fontSize: 11, formatter: (/** @type {any} */ cell) => (cell.value[2] === "-" ? "–" : Number(cell.value[2]).toFixed(2)) },
    }],
  };
};

/** @param {Row[]} rows */
export const traffic = (rows) => ({
  grid: grid({ left: 34 }), legend: legend(), xAxis: times(), yAxis: values("", { minInterval: 1 }), tooltip: tip((parts) => over(parts)),
  series: [
    line({ name: "Heard", itemStyle: { color: css("--accent") }, areaStyle: { opacity: 0.14 }, data: rows.map((row) => [Date.parse(row.from_at), row.aircraft_count]) }),
    line({ name: "On the ground", itemStyle: { color: css("--second") }, data: rows.map((row) => [Date.parse(row.from_at), row.on_ground_count]) }),
  ],
});

/** Names of runways; with the airport where there are several. @param {Row[]} rows @returns {(row: Row) => string} */
const naming = (rows) => (unique(rows.map((row) => row.airport)).length > 1 ? (row) => `${row.airport} ${row.runway}` : (row) => row.runway);

/** @param {Row[]} rows @param {{changes: Row[]}} context */
export const runways = (rows, { changes }) => {
  const name = naming(rows);
  const steps = unique(rows.map((row) => row.from_at)).sort();
  const names = unique(rows.map(name)).sort();
  const most = [...names].sort((a, b) => sum(rows.filter((row) => name(row) === b).map((row) => row.landing_count)) - sum(rows.filter((row) => name(row) === a).map((row) => row.landing_count))).slice(0, 12);
  const width = steps.length > 1 ? Math.min(...steps.slice(1).map((step, i) => Date.parse(step) - Date.parse(steps[i]))) : 3_600_000;
  // Changes of many airports would hide the bars.
  const marks = unique(rows.map((row) => row.airport)).length > 3 ? [] : changes;
  return {
    grid: grid({ left: 34 }), legend: legend(), yAxis: values("", { minInterval: 1 }),
    xAxis: times({ min: Date.parse(steps[0]), max: Date.parse(steps[steps.length - 1]) + width }),
    tooltip: tip((parts) => [`from ${dayHour(parts[0].value[0] - width / 2)}`, ...parts.filter((/** @type {any} */ part) => part.value[1]).map((/** @type {any} */ part) => `${part.seriesName}  ${part.value[1]}`)].join("\n")),
    series: names.filter((one) => most.includes(one)).map((one, i) => ({
      name: one, type: "bar", stack: "all", barMaxWidth: 46, itemStyle: { color: COLOURS[i % COLOURS.length] },
      // Bars stand on each other by their place in the list: each step is in all of them.
      data: steps.map((step) => [Date.parse(step) + width / 2, sum(rows.filter((row) => row.from_at === step && name(row) === one).map((row) => row.landing_count))]),
      markLine: i ? undefined : {
        silent: true, symbol: "none", lineStyle: { color: css("--text"), type: "dashed", width: 1 },
        label: { color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ mark) => mark.name },
        data: marks.map((row) => ({ xAxis: Date.parse(row.changed_at), name: `${row.airport} ${row.from_direction}→${row.to_direction}` })),
      },
    })),
  };
};

/** @param {Row[]} rows */
export const runwaySums = (rows) => {
  const name = naming(rows);
  const sums = unique(rows.map(name)).sort().map((one) => {
    const own = rows.filter((row) => name(row) === one);
    return { one, landings: sum(own.map((row) => row.landing_count)), takeoffs: sum(own.map((row) => row.takeoff_count)) };
  }).sort((a, b) => b.landings + b.takeoffs - a.landings - a.takeoffs).slice(0, 8);
  const label = { show: true, position: "right", color: css("--muted"), fontSize: 10, formatter: (/** @type {any} */ bar) => bar.value || "" };
  return lying(sums.map((row) => row.one), [
    { name: "Landings", label, itemStyle: { color: css("--accent") }, data: sums.map((row) => row.landings) },
    { name: "Take-offs", label, itemStyle: { color: css("--second") }, data: sums.map((row) => row.takeoffs) },
  ], { left: 86, isNamed: true });
};

const SOURCES = /** @type {Record<string, string>} */ ({ positions: "", history: " (history)" });
/** @param {Row[]} rows */
export const asma = (rows) => {
  const name = (/** @type {Row} */ row) => `${row.airport}${SOURCES[row.source] ?? ` (${row.source})`}`;
  const months = unique(rows.map((row) => row.month)).sort();
  return {
    grid: grid({ left: 34 }), legend: legend(), yAxis: values(),
    xAxis: axis({ type: "category", data: months.map((month) => month.slice(0, 7)), splitLine: { show: false } }),
    tooltip: tip((/** @type {any} */ bar) => {
      const row = bar.data.row;
      return `${bar.seriesName}, ${row.month.slice(0, 7)}\nadditional ${round(row.mean_additional_min)} min on average${row.p90_additional_min == null ? "" : `, P90 ${round(row.p90_additional_min)} min`}\n${row.with_reference_count} of ${row.counted_count} arrivals have a reference`;
    }, "item"),
    series: unique(rows.map(name)).slice(0, 12).map((one, i) => ({
      name: one, type: "bar", barMaxWidth: 30, itemStyle: { color: COLOURS[i % COLOURS.length] },
      data: rows.filter((row) => name(row) === one).map((row) => ({ value: [months.indexOf(row.month), row.mean_additional_min], row })),
    })),
  };
};

/** Of the method with a fixed reference. @param {Row[]} rows */
export const asmaFixed = (rows) =>
  asma(rows.map((row) => ({ ...row, month: row.period_on, mean_additional_min: row.additional_min })));

/** @param {Row[]} rows */
export const holdings = (rows) => {
  const steps = unique(rows.map((row) => row.from_at)).sort();
  const mean = steps.map((step) => {
    const own = rows.filter((row) => row.from_at === step);
    return sum(own.map((row) => row.mean_duration_min * row.holding_count)) / sum(own.map((row) => row.holding_count));
  });
  return {
    grid: grid({ left: 30, right: 38 }), legend: legend(), tooltip: tip((parts) => [parts[0].name, ...parts.filter((/** @type {any} */ part) => part.value).map((/** @type {any} */ part) => `${part.seriesName}  ${round(part.value, 1)}`)].join("\n")),
    xAxis: axis({ type: "category", data: steps.map((step) => step_(step)), splitLine: { show: false } }),
    yAxis: [values("", { minInterval: 1 }), values("", { splitLine: { show: false } })],
    series: [
      ...unique(rows.map((row) => row.airport)).sort().slice(0, 8).map((one, i) => ({
        name: one, type: "bar", stack: "all", barMaxWidth: 40, itemStyle: { color: COLOURS[i] },
        data: steps.map((step) => rows.find((row) => row.from_at === step && row.airport === one)?.holding_count ?? 0),
      })),
      line({ name: "Mean duration, min (right axis)", yAxisIndex: 1, symbol: "circle", symbolSize: 6, itemStyle: { color: css("--text") }, data: mean }),
    ],
  };
};

/** A step of time, short. @param {string} text */
const step_ = (text) => dayHour(Date.parse(text)).replace(/ \d{4},/, ",");

/** @param {Row[]} rows */
export const goArounds = (rows) => {
  const steps = unique(rows.map((row) => row.from_at)).sort();
  const at = (/** @type {string} */ step, /** @type {string} */ name) => sum(rows.filter((row) => row.from_at === step).map((row) => row[name]));
  return {
    grid: grid({ left: 30, right: 38 }), legend: legend(),
    tooltip: tip((parts) => [parts[0].name, ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${part.value}`)].join("\n")),
    xAxis: axis({ type: "category", data: steps.map(step_), splitLine: { show: false } }),
    yAxis: [values("", { minInterval: 1 }), values("", { minInterval: 1, splitLine: { show: false } })],
    series: [
      ...unique(rows.map((row) => row.airport)).sort().slice(0, 8).map((one, i) => ({
        name: one, type: "bar", stack: "all", barMaxWidth: 40, itemStyle: { color: COLOURS[i] },
        data: steps.map((step) => rows.find((row) => row.from_at === step && row.airport === one)?.go_around_count ?? 0),
      })),
      line({ name: "Landings (right axis)", yAxisIndex: 1, symbol: "circle", symbolSize: 5, itemStyle: { color: css("--muted") }, data: steps.map((step) => at(step, "landing_count")) }),
    ],
  };
};

/** Candidates by what they are: "challenger 3", "airport median". @param {Row} row */
const candidate = (row) =>
  row.role === "baseline" ? row.candidate.replace("baseline:", "").replaceAll("_", " ") : `${row.role} ${row.candidate.split(":").at(-1)}`;

/** How a challenger and a champion compare, each with its interval. @param {Row[]} rows */
export const compared = (rows) =>
  rows.filter((row) => row.role !== "baseline").flatMap((row) => [
    ...(row.skill == null ? [] : [{ name: candidate(row), against: row.reference, value: row.skill, low: row.skill_low, high: row.skill_high }]),
    ...(row.champion_gain == null ? [] : [{ name: "over the champion", against: row.champion, value: row.champion_gain, low: row.champion_gain_low, high: row.champion_gain_high }]),
  ]);

/** @param {Row[]} rows of `compared` */
export const skill = (rows) => ({
  grid: { left: 128, right: 20, top: 6, bottom: 24 },
  xAxis: values("", { axisLabel: { formatter: (/** @type {number} */ value) => percent(value) }, scale: true }),
  yAxis: axis({ type: "category", inverse: true, data: rows.map((row) => row.name), axisLabel: { width: 120, overflow: "truncate", interval: 0 } }),
  tooltip: tip((one) => `${rows[one.dataIndex].name}, against ${rows[one.dataIndex].against}\n${percent(rows[one.dataIndex].value, 1)}, 95 %: ${percent(rows[one.dataIndex].low ?? NaN, 1)} to ${percent(rows[one.dataIndex].high ?? NaN, 1)}`, "item"),
  series: [
    {
      type: "custom", encode: { x: [1, 2], y: 0 }, silent: true,
      data: rows.map((row, i) => [i, row.low ?? row.value, row.high ?? row.value]),
      renderItem: (/** @type {any} */ _, /** @type {any} */ api) => {
        const [from, to] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
        return { type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: css("--accent"), lineWidth: 3 } };
      },
    },
    {
      type: "scatter", symbolSize: 10, itemStyle: { color: css("--accent") }, data: rows.map((row, i) => [row.value, i]),
      markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: css("--text"), type: "dashed" }, data: [{ xAxis: 0 }] },
    },
  ],
});

/** @param {Row[]} rows */
export const within = (rows) => ({
  grid: { left: 128, right: 50, top: 26, bottom: 8 }, legend: legend(),
  xAxis: values("", { show: false, max: 1 }),
  yAxis: axis({ type: "category", inverse: true, data: rows.map(candidate), axisLabel: { width: 120, overflow: "truncate", interval: 0 } }),
  tooltip: tip((parts) => [parts[0].name, ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${percent(part.value, 1)}`)].join("\n")),
  series: [["Within 1 min", "within_1min_share", css("--accent")], ["Within 2 min", "within_2min_share", css("--second")]].map(([name, column, own]) => ({
    name, type: "bar", barMaxWidth: 12, itemStyle: { color: own }, data: rows.map((row) => row[column]),
    label: { show: rows.length < 7, position: "right", color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ bar) => percent(bar.value) },
  })),
});

/** @param {Row[]} rows */
export const errors = (rows) => {
  const steps = unique(rows.map((row) => row.from_error_min)).sort((a, b) => a - b);
  /** @type {number[]} */
  const all = [];
  for (let step = steps[0]; step <= steps[steps.length - 1]; step += 0.5) all.push(step);
  return {
    grid: grid({ left: 40, bottom: 36 }), legend: legend(),
    xAxis: axis({ type: "category", data: all, name: "predicted too late by, min", nameLocation: "middle", nameGap: 20, nameTextStyle: { color: css("--muted"), fontSize: 10.5 } }),
    yAxis: values("", { axisLabel: { formatter: (/** @type {number} */ value) => percent(value) } }),
    tooltip: tip((parts) => [`${parts[0].name} to ${Number(parts[0].name) + 0.5} min`, ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${percent(part.value, 1)}`)].join("\n")),
    series: unique(rows.map((row) => row.predictor)).map((one, i) => ({
      name: label(one, rows), type: "line", step: "middle", symbol: "none", itemStyle: { color: COLOURS[i] }, areaStyle: { opacity: 0.12 },
      data: all.map((step) => rows.find((row) => row.predictor === one && row.from_error_min === step)?.share ?? 0),
    })),
  };
};

/** @param {string} name @param {Row[]} rows */
const label = (name, rows) =>
  `${/^\d+$/.test(name) ? `version ${name}` : name} (${sum(rows.filter((row) => row.predictor === name).map((row) => row.prediction_count))})`;

/** @param {Row[]} rows */
export const residuals = (rows) => ({
  grid: grid({ left: 40, bottom: 36, top: 12 }),
  xAxis: values("predicted, min", { nameLocation: "middle", nameGap: 20, min: rows[0].from_predicted_min, max: rows[rows.length - 1].from_predicted_min + 2, minInterval: 2, splitLine: { show: false }, nameTextStyle: { color: css("--muted"), fontSize: 10.5 } }),
  yAxis: values(),
  tooltip: tip((parts) => {
    const row = rows[parts[0].dataIndex];
    return `predicted ${row.from_predicted_min} to ${row.from_predicted_min + 2} min: ${row.prediction_count}\nmedian ${round(row.median_error_min)} min, 80 % from ${round(row.p10_error_min)} to ${round(row.p90_error_min)}`;
  }),
  series: [
    {
      type: "custom", encode: { x: 0, y: [1, 2] }, data: rows.map((row) => [row.from_predicted_min + 1, row.p10_error_min, row.p90_error_min]),
      renderItem: (/** @type {any} */ _, /** @type {any} */ api) => {
        const [x, low] = api.coord([api.value(0), api.value(1)]);
        const high = api.coord([api.value(0), api.value(2)])[1];
        const width = api.size([1.6, 0])[0];
        return { type: "rect", shape: { x: x - width / 2, y: high, width, height: Math.max(1, low - high) }, style: { fill: css("--accent"), opacity: 0.25 } };
      },
    },
    {
      type: "scatter", symbolSize: 7, itemStyle: { color: css("--accent") }, data: rows.map((row) => [row.from_predicted_min + 1, row.median_error_min]),
      markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: css("--text"), type: "dashed" }, data: [{ yAxis: 0 }] },
    },
  ],
});

/** @param {Row[]} rows */
export const importance = (rows) => ({
  ...lying(rows.map((row) => words(row.feature_group)), [{
    itemStyle: { color: css("--accent") }, data: rows.map((row) => row.mae_rise_min),
    label: { show: true, position: "right", color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ bar) => `${round(bar.value)} min` },
  }], { left: 122 }),
  tooltip: tip((parts) => `${parts[0].name}\nMAE ${round(parts[0].value, 3)} min larger`),
});

/** @param {Row[]} rows newest first */
export const latency = (rows) => {
  const shown = [...rows].reverse();
  return {
    grid: grid({ left: 40 }), legend: legend(), yAxis: values(),
    xAxis: axis({ type: "category", data: shown.map((row) => (row.version ? `v${row.version}` : row.recipe)), splitLine: { show: false } }),
    tooltip: tip((parts) => {
      const row = shown[parts[0].dataIndex];
      return [`${row.recipe}, ${dayHour(Date.parse(row.measured_at))}`, ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${round(part.value, 3)} ms`), `start ${round(row.start_s, 1)} s, memory ${round(row.peak_memory_mb, 0)} MB`].join("\n");
    }),
    series: ["p50", "p95", "p99"].map((one, i) => ({
      name: one, type: "bar", barMaxWidth: 26, itemStyle: { color: COLOURS[i] }, data: shown.map((row) => row[`${one}_ms`]),
    })),
  };
};

/** @param {Row[]} rows newest first */
export const monitoring = (rows) => {
  const shown = [...rows].reverse();
  const of = (/** @type {string} */ name) => shown.map((row) => [Date.parse(row.window_end_at ?? row.logged_at), row[name]]);
  return {
    grid: grid({ left: 44 }), legend: legend(), xAxis: times(), yAxis: values("", { axisLabel: { formatter: (/** @type {number} */ value) => percent(value) } }),
    tooltip: tip((parts) => [shown[parts[0].dataIndex].verdict, ...parts.map((/** @type {any} */ part) => `${part.seriesName}  ${part.value[1] == null ? "–" : percent(part.value[1], 1)}`), shown[parts[0].dataIndex].decision ?? ""].join("\n")),
    series: [
      line({ name: "Skill", symbol: "circle", symbolSize: 6, itemStyle: { color: css("--accent") }, data: of("skill") }),
      line({ name: "Drift score", symbol: "circle", symbolSize: 6, itemStyle: { color: css("--second") }, data: of("drift_score") }),
    ],
  };
};

/** @param {Row[]} rows */
export const drifted = (rows) => {
  const shown = rows.map((row) => ({ ...row, times: row.value / row.threshold })).sort((a, b) => b.times - a.times).slice(0, 12);
  return {
    ...lying(shown.map((/** @type {any} */ row) => `${row.feature}, ${row.statistic}`), [{
      itemStyle: { color: css("--second") }, data: shown.map((row) => row.times),
      label: { show: true, position: "right", color: css("--muted"), fontSize: 10.5, formatter: (/** @type {any} */ bar) => `${round(bar.value, 1)}×` },
    }], { left: 168 }),
    tooltip: tip((parts) => {
      const row = /** @type {any} */ (shown[parts[0].dataIndex]);
      return `${row.feature}\n${row.statistic} ${round(row.value, 3)}, threshold ${round(row.threshold, 3)}`;
    }),
  };
};
