// What the sections of /fleet are made of: figures with links, tables, bars, what is said where nothing is.

import { draw } from "./charts.js";
import { css, make } from "./format.js";
import { links } from "./links.js";

/**
 * @typedef {import("./data.js").Row} Row
 * @typedef {{airline: string, type: string, airframe: string, from: string, through: string, by: string, ata: string,
 *   component: string, life: string, flight: string}} State What stands in the address.
 * @typedef {{name: string, number?: boolean, wide?: boolean, head?: boolean, cell: (row: Row) => Node | string}} Column
 * @typedef {{state: State, icao24: string, isKnown: boolean, sky: any, period: Record<string, string>,
 *   go: (change: Partial<State>) => void}} Page `icao24` is the airframe's, where one is asked for and known.
 */

/** @type {Map<string, () => void>} */
const drawn = new Map();

/** @type {{section: string, card: Card}[]} */
const cards = [];

/** What could not be read of a section. @param {string} section @param {string} said */
export function failed(section, said) {
  empty(cards.filter((one) => one.section === section).map((one) => one.card), said);
}

/** All charts again: the colours are others. */
export function redraw() {
  for (const draws of drawn.values()) draws();
}

/** A path with the parameters that have a value.
 * @param {string} path @param {Record<string, string | number | boolean | undefined>} given */
export function asked(path, given) {
  const pairs = Object.entries(given).filter(([, value]) => value !== "" && value !== undefined);
  return `${path}?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}`;
}

/** A figure with a title, links, and a chart or a table. */
export class Card {
  /** @param {string} section @param {string} id @param {string} title @param {{wide?: boolean, tall?: boolean}} [shape] */
  constructor(section, id, title, shape = {}) {
    this.id = id;
    this.title = title;
    this.caption = make("span", {}, [title]);
    this.links = make("span", { class: "links" });
    this.holder = make("div", { id, class: "chart", role: "img", "aria-label": title, hidden: "" });
    this.scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title, hidden: "" });
    this.said = make("p", { class: "note" }, ["Loading"]);
    cards.push({ section, card: this });
    const classes = `${shape.wide ? "wide" : ""} ${shape.tall ? "tall" : ""}`.trim();
    this.figure = make("figure", classes ? { class: classes } : {}, [
      make("figcaption", {}, [this.caption, this.links]), this.holder, this.scroll, this.said]);
    document.querySelector(`#${section} .cards`)?.append(this.figure);
  }

  /** @param {string} title */
  name(title) {
    this.title = this.caption.textContent = title;
    for (const one of [this.holder, this.scroll]) one.setAttribute("aria-label", title);
  }

  /** Where its rows are. @param {string} path @param {string} [model] of dbt */
  from(path, model) {
    this.links.replaceChildren(...links(this.title, path, model && `model.skyops.${model}`));
  }

  /** @param {string} [said] below it; what stands between ` is code @param {string} [shown] */
  show(said = "", shown = "") {
    this.figure.hidden = false;
    this.holder.hidden = shown !== "chart";
    this.scroll.hidden = shown !== "table";
    this.said.hidden = !said;
    this.said.replaceChildren(...said.split("`").map((part, n) => (n % 2 ? make("code", {}, [part]) : part)));
    if (shown !== "chart") drawn.delete(this.id);
  }

  /** @param {() => any} option @param {string} [said] */
  chart(option, said) {
    this.show(said, "chart");
    this.draws(() => draw(this.id, option()));
  }

  /** @param {() => void} draws what is drawn into it, now and in other colours */
  draws(draws) {
    drawn.set(this.id, draws);
    draws();
  }

  /** @param {Column[]} columns @param {Row[]} rows @param {string} [said] */
  table(columns, rows, said) {
    this.show(said, "table");
    const classes = (/** @type {Column} */ one) =>
      ({ class: `${one.number ? "number" : ""} ${one.wide ? "words" : ""}`.trim() });
    const head = make("tr", {}, columns.map((one) => make("th", { scope: "col", ...classes(one) }, [one.name])));
    this.scroll.replaceChildren(make("table", {}, [
      make("thead", {}, [head]),
      make("tbody", {}, rows.map((row) => make("tr", {}, columns.map((one) =>
        make(one.head ? "th" : "td", { ...(one.head && { scope: "row" }), ...classes(one) }, [one.cell(row)]))))),
    ]));
  }
}

/** One word for all of them: there are no rows. @param {Card[]} shown @param {string} said */
export function empty([first, ...others], said) {
  first.show(said);
  for (const card of others) {
    card.show();
    card.figure.hidden = true;
  }
}

/** What to say of no rows: that nothing fits, or where such rows come from.
 * @param {Page} page @param {(keyof State)[]} by the filters that were asked with @param {string} otherwise */
export function nothing(page, by, otherwise) {
  const set = by.filter((name) => page.state[name]);
  return set.length ? `Nothing fits the filters (${set.map((name) => `${NAMES[name] ?? name} ${page.state[name]}`).join(", ")}).` : otherwise;
}

/** How an operator's rows come to be here. @param {string} job that builds from them @param {string} runs when it does */
export const given = (job, runs) => "put the files into the folder that `SKYOPS_OPERATOR_DATA` names, then run `skyops load --operator` "
  + `(Operator data, docs/operator_data.md); the job \`${job}\` builds from them ${runs}, or at once in the Dagster UI.`;

/** @type {Record<string, string>} */
const NAMES = { ata: "ATA chapter" };

/** @param {string} text @param {() => void} act @param {boolean} [isChosen] */
export function press(text, act, isChosen = false) {
  const button = make("button", { type: "button", ...(isChosen && { "aria-current": "true" }) }, [text]);
  button.addEventListener("click", act);
  return button;
}

/** A word in the colour of its meaning. @param {string} text @param {"" | "critical" | "warn" | "good"} kind */
export const tag = (text, kind) => make("span", { class: `tag ${kind}`.trim() }, [text]);

/** @param {number | null | undefined} value @param {number} [digits] @param {string} [unit] */
export const fixed = (value, digits = 1, unit = "") =>
  value == null ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) + (unit && `\u202f${unit}`);

/** @param {number | null | undefined} share @param {number} [digits] */
export const percent = (share, digits = 0) => (share == null ? "–" : fixed(100 * share, digits, "%"));

/** A value within its limits. @param {number | null} value @param {number | null} low @param {number | null} high @param {number} digits */
export const between = (value, low, high, digits) =>
  value == null ? "–" : low == null && high == null ? fixed(value, digits) : `${fixed(value, digits)} (${fixed(low, digits)} to ${fixed(high, digits)})`;

/** A share as a bar with its number. @param {number | null} share */
export function bar(share) {
  if (share == null) return "–";
  const made = make("span", { class: "bar" }, [percent(share)]);
  made.style.setProperty("--share", `${Math.round(100 * Math.min(1, share))}%`);
  return made;
}

/** A day as it is read. @param {string} iso */
export const dayOf = (iso) =>
  new Date(`${iso}T00:00:00Z`).toLocaleDateString("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });

/** @param {string} iso the first day of it */
export const monthOf = (iso) => new Date(`${iso}T00:00:00Z`).toLocaleDateString("en-GB", { timeZone: "UTC", month: "short", year: "numeric" });

/** What was heard, and what may have been flown unheard, of each. @param {"x" | "y"} along where the names stand
 * @param {Row[]} rows @param {(row: Row) => string} name */
export function hours(along, rows, name) {
  const names = { type: "category", data: rows.map(name), splitLine: { show: false } };
  const across = along === "y";
  const round = (/** @type {number} */ value) => Math.round(10 * value) / 10;
  return {
    names,
    legend: { top: 0, right: 0, itemWidth: 12, itemHeight: 8, textStyle: { color: css("--muted"), fontSize: 10.5 } },
    series: [
      {
        name: "In the air, h", type: "bar", stack: "hours", barMaxWidth: across ? 14 : 26, itemStyle: { color: css("--accent") },
        data: rows.map((row) => round(row.airborne_h)),
      },
      {
        name: "Perhaps unheard, h", type: "bar", stack: "hours", barMaxWidth: across ? 14 : 26,
        itemStyle: { color: `${css("--accent")}47` },
        data: rows.map((row) => round(row.perhaps_airborne_h - row.airborne_h)),
        label: across ? {
          show: true, position: "right", color: css("--muted"), fontSize: 10.5,
          formatter: (/** @type {any} */ one) => percent(rows[one.dataIndex].coverage_share),
        } : undefined,
      },
    ],
  };
}
