// The page /analysis: filters that stand in the address, and the cards that follow them.

import { CARDS } from "./analysis_cards.js";
import { draw } from "./charts.js";
import { get } from "./data.js";
import { at, dayHour, make, setZone, zoneName } from "./format.js";
import { links, setDocs } from "./links.js";

/** @typedef {import("./data.js").Row} Row */
/** @typedef {import("./analysis_cards.js").Card} Card */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** @type {Record<string, number>} */
const PERIODS = { hour: HOUR, "": DAY, week: 7 * DAY, month: 30 * DAY, year: 365 * DAY };
const NAMES = ["airport", "period", "from", "to", "runway", "airline", "typecode", "ring"];
const form = /** @type {HTMLFormElement} */ (at("filters"));
/** @param {string} name @returns {HTMLSelectElement | HTMLInputElement} */
const field = (name) => /** @type {any} */ (form.elements.namedItem(name));

/** The end of what is stored, in ms. */
let newest = 0;
/** What was asked for last: an answer to something older is not drawn. */
let turn = 0;
/** @type {(() => void)[]} */
let redraw = [];

/** The filters as the address has them. @returns {Record<string, string>} */
function chosen() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
}

/** A time of the address; NaN where it is none. @param {string} text */
const moment = (text) => (text ? Date.parse(text.endsWith("Z") ? text : `${text}Z`) : NaN);

/** From when to when, in ms; null is all. @param {Record<string, string>} filters @returns {[number | null, number | null]} */
function period(filters) {
  if (filters.period === "all") return [null, null];
  if (filters.period === "own") {
    const to = moment(filters.to) || newest;
    const from = moment(filters.from);
    return [Number.isNaN(from) ? to - DAY : from, to];
  }
  return [newest - (PERIODS[filters.period] ?? DAY), newest];
}

/** @param {Record<string, any>} values those that are set */
const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null).map(([name, value]) => [name, String(value)])).toString();

const iso = (/** @type {number | null} */ ms) => (ms == null ? null : `${new Date(ms).toISOString().slice(0, 19)}Z`);

const floor = (/** @type {number} */ ms, /** @type {number} */ step) => Math.floor(ms / step) * step;

/** What each kind of card is asked with. @param {Record<string, string>} filters @returns {Record<string, Record<string, any>>} */
function asked(filters) {
  const [from, to] = period(filters);
  const { airport, runway, airline, typecode } = filters;
  const of = { airport, runway, airline, typecode };
  const until = to ?? newest;
  const since = Math.max(from ?? 0, until - DAY);
  const hours = Math.min(24, Math.max(1, Math.ceil((until - since) / HOUR)));
  const length = from == null || to == null ? Infinity : to - from;
  const by = length <= 3 * DAY ? "hour" : length <= 120 * DAY ? "day" : "month";
  const ring_nm = filters.ring;
  return {
    sky: { ...of, from: iso(since), hours },
    traffic: { ...of, from: iso(since), hours, every_min: hours <= 3 ? 1 : 5 },
    changes: { airport, from: iso(from), to: iso(to) },
    airport: { ...of, from: iso(from), to: iso(to), by },
    // A month alone says little: those of the year before it stand beside it.
    asma: { ...of, from: from == null ? null : iso(Math.min(from, until - 365 * DAY)), to: iso(to), ring_nm },
    fixed: { airport, by: "month", from: from == null ? null : iso(floor(Math.min(from, until - 365 * DAY), DAY)), to: iso(to), limit: 1000 },
    taxi: { airport, by: length <= 120 * DAY ? "day" : "month", from: from == null ? null : iso(floor(from, DAY)), to: iso(to), limit: 1000 },
    model: { ring_nm },
    predictions: { ring_nm, airport, from: iso(from), to: iso(to) },
  };
}

/** Options of a select: all, those that there are, and what is chosen though it is not among them.
 * @param {string} name @param {string[]} values @param {string} value */
function offer(name, values, value) {
  const all = value && !values.includes(value) ? [value, ...values] : values;
  field(name).replaceChildren(...["", ...all].map((one) => make("option", { value: one }, [one || "All"])));
  field(name).value = value;
}

/** @param {Record<string, string>} filters */
async function show(filters) {
  const mine = ++turn;
  const found = await get(`analysis/choices?${query({ airport: filters.airport })}`);
  if (mine !== turn) return;
  for (const name of ["airport", "runway", "airline", "typecode"])
    offer(name, found.data.filter((/** @type {Row} */ one) => one.filter === name).map((/** @type {Row} */ one) => one.value), filters[name]);
  for (const name of ["period", "ring", "from", "to"]) field(name).value = filters[name].replace("Z", "");
  for (const label of form.querySelectorAll(".own")) label.toggleAttribute("hidden", filters.period !== "own");
  says(filters);

  const values = asked(filters);
  /** @type {Map<string, Promise<any>>} One question for all cards that draw of the same rows. */
  const answers = new Map();
  const ask = (/** @type {string} */ path) => {
    if (!answers.has(path)) answers.set(path, get(path));
    return /** @type {Promise<any>} */ (answers.get(path));
  };
  const state = await ask(`analysis/model?${query(values.model)}`).then((body) => body.data[0], () => undefined);
  if (mine !== turn) return;
  model(state, filters.ring || "40");
  const changes = ask(`analysis/runway-changes?${query(values.changes)}`).then((body) => body.data, () => []);
  redraw = [];
  await Promise.all(CARDS.map(async (card) => {
    const place = card.path.startsWith("/") ? card.path.slice(1) : `analysis/${card.path}`;
    const path = `${place}?${query(values[card.asked])}`;
    at(`${card.id}-links`).replaceChildren(...links(card.title, path, card.docs));
    at(card.id).setAttribute("aria-busy", "true");
    try {
      const rows = (await ask(path)).data;
      const context = { state, changes: await changes, filters };
      if (mine !== turn) return;
      const fill = () => put(card, rows, context);
      redraw.push(fill);
      fill();
    } catch (error) {
      if (mine === turn) note(card, `This could not be loaded: ${/** @type {Error} */ (error).message}`);
    }
    at(card.id).removeAttribute("aria-busy");
  }));
  if (mine === turn) document.documentElement.dataset.drawn = String(mine);
}

/** @param {Record<string, string>} filters */
function says(filters) {
  const [from, to] = period(filters);
  at("period").textContent = from == null || to == null ? "" : `${dayHour(from)} to ${dayHour(to)}, ${zoneName()}`;
  const until = to ?? newest;
  const isCut = from == null || until - from > DAY;
  at("sky-says").textContent =
    `Positions of aircraft, one per aircraft and minute${isCut ? `, in the last 24 hours of the period (from ${dayHour(until - DAY)})` : ""}.`
    + "  An airport's aircraft are those of flights from and to it.";
}

/** @param {Row | undefined} state @param {string} ring */
function model(state, ring) {
  const known = !state
    ? "Nothing has been trained for this ring yet."
    : `The newest training run (${state.recipe}, ${dayHour(Date.parse(state.last_trained_at))} ${zoneName()}, ${state.train_rows} training arrivals, `
      + `${state.test_rows} later test arrivals)`
      + (state.challenger_version ? ` made challenger ${state.challenger_version}; ` : " made no challenger; ")
      + (state.champion_version ? `champion is ${state.champion_version}.` : "there is no champion, so a baseline predicts.");
  at("model-says").textContent = `Prediction errors from the ${ring} NM ring: challenger, champion and baselines on the same arrivals. ${known}`;
}

/** @param {Card} card @param {Row[]} rows @param {any} context */
function put(card, rows, context) {
  const holder = at(card.id);
  const found = card.rows ? card.rows(rows) : rows;
  if (!found.length) return note(card, typeof card.empty === "function" ? card.empty(context) : card.empty);
  at(`${card.id}-note`).hidden = true;
  holder.hidden = false;
  if (card.table) {
    holder.replaceChildren(card.table(found, context));
  } else if (card.option) {
    draw(card.id, card.option(found, context));
  }
  holder.dataset.rows = String(found.length);
}

/** @param {Card} card @param {string} text why there is nothing to see */
function note(card, text) {
  at(card.id).hidden = true;
  at(card.id).dataset.rows = "0";
  at(`${card.id}-note`).textContent = text;
  at(`${card.id}-note`).hidden = false;
}

function build() {
  for (const card of CARDS) {
    const body = card.table
      ? make("div", { id: card.id, class: "table scroll", tabindex: "0", role: "region", "aria-label": card.title })
      : make("div", { id: card.id, class: "chart", role: "img", "aria-label": `${card.title}: ${card.says}` });
    const figure = make("figure", { class: card.isWide ? "wide" : card.isDouble ? "double" : "" }, [
      make("figcaption", {}, [make("span", {}, [card.title]), make("span", { class: "links", id: `${card.id}-links` })]),
      make("p", { class: "note" }, [card.says]),
      body,
      make("p", { class: "why", id: `${card.id}-note`, hidden: "" }),
    ]);
    at(`${card.section}-cards`).append(figure);
  }
}

/** What is chosen in the form goes to the address, and is shown. */
function choose() {
  const values = Object.fromEntries(NAMES.map((name) => [name, field(name).value]));
  if (values.period === "own") {
    // The period that is looked at now is where one's own begins.
    const [from, to] = period(chosen());
    values.from ||= iso(from ?? newest - DAY)?.slice(0, 16) ?? "";
    values.to ||= iso(to ?? newest)?.slice(0, 16) ?? "";
  } else {
    values.from = values.to = "";
  }
  // A runway is an airport's.
  if (values.airport !== chosen().airport) values.runway = "";
  const text = query(values);
  history.pushState(null, "", text ? `?${text}` : location.pathname);
  show(chosen());
}

async function begin() {
  build();
  const [hours, map, addresses] = await Promise.all([get("hours?limit=1"), get("map"), get("links")]);
  setDocs(addresses.docs);
  newest = hours.data.length ? Date.parse(hours.data[0].hour_at) + HOUR : Date.now();
  const zones = new Map(map.airports.filter((/** @type {Row} */ one) => one.timezone).map((/** @type {Row} */ one) => [one.timezone, one.airport]));
  at("zone").append(...[...zones.keys()].map((zone) => make("option", { value: zone }, [zone.split("/").at(-1).replaceAll("_", " ")])));
  at("zone").addEventListener("change", (event) => {
    setZone(/** @type {HTMLSelectElement} */ (event.target).value);
    says(chosen());
    redraw.forEach((again) => again());
  });
  at("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme !== "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    localStorage.setItem("theme", dark ? "dark" : "light");
    redraw.forEach((again) => again());
  });
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.pushState(null, "", location.pathname);
    show(chosen());
  });
  addEventListener("popstate", () => show(chosen()));
  await show(chosen());
}

begin().catch((error) => {
  at("period").textContent = `The page could not start: ${error.message}`;
});
