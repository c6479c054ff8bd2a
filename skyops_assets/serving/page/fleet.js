// The page /fleet: filters that stand in the address, and its sections.

import { get } from "./data.js";
import { at } from "./format.js";
import { due, live } from "./fleet_due.js";
import { flights, punctuality } from "./fleet_flights.js";
import { failed, redraw } from "./fleet_parts.js";
import { reliability } from "./fleet_reliability.js";
import { airframe, options, use } from "./fleet_use.js";
import { setDocs } from "./links.js";

/** @typedef {import("./fleet_parts.js").State} State */
/** @typedef {import("./fleet_parts.js").Page} Page */

const DAY_MS = 86_400_000;
/** What a filter may be, and how it is told of. @type {Record<string, [RegExp, string]>} */
const FORMS = {
  airline: [/^[A-Za-z]{3}$/, "An airline is a three-letter ICAO designator, such as AFR"],
  type: [/^[^\x00-\x1f]{1,40}$/, "A type is an ICAO designator, such as A320, or a model named in reports"],
  airframe: [/^[A-Za-z0-9-]{2,10}$/, "An airframe is a registration, such as F-GKXO, or an address of six hexadecimal digits"],
  from: [/^\d{4}-\d\d-\d\d$/, "Write a day as 2025-06-30"],
  through: [/^\d{4}-\d\d-\d\d$/, "Write a day as 2025-06-30"],
  by: [/^(day|month)$/, "Rows are by day or month"],
  ata: [/^(\d\d|unknown)$/, "An ATA chapter is two digits, such as 32"],
};
const CHOSEN = ["component", "life", "flight"];
const form = /** @type {HTMLFormElement} */ (at("filters"));
let sky = { airports: [], runways: [] };
/** Drawn one after the other: what was asked for last stays. */
let drawing = Promise.resolve();

/** What the address says. @returns {State} */
function read() {
  const given = new URLSearchParams(location.search);
  const names = [...Object.keys(FORMS), ...CHOSEN];
  return /** @type {any} */ (Object.fromEntries(names.map((name) => [name, (given.get(name) ?? "").trim()])));
}

/** @param {Partial<State>} change */
function go(change) {
  const state = { ...read(), ...change };
  // What was chosen among other rows is not among these.
  if (Object.keys(change).some((name) => name in FORMS)) for (const name of /** @type {const} */ (["component", "life", "flight"])) state[name] = "";
  const set = Object.entries(state).filter(([, value]) => value);
  history.pushState(null, "", `${location.pathname}${set.length ? `?${new URLSearchParams(set)}` : ""}${location.hash}`);
  show(Object.keys(change));
}

/** @param {State} state @returns {string} what is wrong with it, where anything is */
function wrong(state) {
  for (const [name, [shape, told]] of Object.entries(FORMS)) {
    const value = state[/** @type {keyof State} */ (name)];
    if (value && !shape.test(value)) return `${told}; not ${JSON.stringify(value)}.`;
    if (value && name.match(/from|through/) && Number.isNaN(Date.parse(value))) return `There is no day ${value}.`;
  }
  return state.from && state.through && state.from > state.through ? `The period ends on ${state.through}, before it begins on ${state.from}.` : "";
}

/** @type {[string, (page: Page) => Promise<any>, string[]][]} A section, and what it is drawn anew for beside filters. */
const SECTIONS = [
  ["use", use, []], ["reliability", reliability, ["component"]], ["due", due, []], ["lives", live, ["life"]],
  ["flights", flights, ["flight"]], ["punctuality", punctuality, []],
];

/** Draws what changed. @param {string[]} [changed] names of what stands in the address; all if not given */
function show(changed) {
  document.body.dataset.ready = "";
  drawing = drawing.then(() => draw(read(), changed)).then(() => {
    document.body.dataset.ready = "yes";
  });
  return drawing;
}

/** @param {State} state @param {string[]} [changed] */
async function draw(state, changed) {
  for (const name of Object.keys(FORMS)) /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = state[/** @type {keyof State} */ (name)];
  const isFiltered = Object.keys(FORMS).some((name) => state[/** @type {keyof State} */ (name)]);
  at("clear").hidden = !isFiltered;
  const told = wrong(state);
  at("wrong").hidden = !told;
  at("wrong").textContent = told;
  if (told) return;
  const [icao24, isKnown] = await find(state.airframe);
  const next = state.through && new Date(Date.parse(state.through) + DAY_MS).toISOString().slice(0, 10);
  const page = { state, icao24, isKnown, sky, go, period: { from: state.from, to: next } };
  const isAll = !changed || changed.some((name) => name in FORMS);
  await Promise.all(SECTIONS.filter(([, , by]) => isAll || by.some((name) => changed?.includes(name))).map(async ([id, draws]) => {
    const section = at(id);
    section.setAttribute("aria-busy", "true");
    try {
      const types = await draws(page);
      if (id === "use" && types) fillTypes(types);
    } catch (error) {
      // The other sections are shown all the same.
      failed(id, error instanceof TypeError ? "The service does not answer; load the page again." : error instanceof Error ? error.message : String(error));
    }
    section.removeAttribute("aria-busy");
  }));
}

/** The address of an airframe that is asked for. @param {string} text @returns {Promise<[string, boolean]>} and whether it is known */
async function find(text) {
  if (!text) return ["", true];
  const asked = airframe(text);
  if ("icao24" in asked) return [text.toLowerCase(), true];
  const { data } = await get(`fleet?by=month&limit=1&registration=${encodeURIComponent(text)}`).catch(() => ({ data: [] }));
  return data.length ? [data[0].icao24, true] : ["", false];
}

/** @param {string[]} types ICAO's; the models of reports join them */
async function fillTypes(types) {
  const { data } = await get("reliability?is_current=true&part_number=&limit=5000").catch(() => ({ data: [] }));
  options("types", [...new Set([...types, ...data.map((/** @type {any} */ row) => row.fleet)])]);
}

function wire() {
  form.addEventListener("change", (event) => {
    const field = /** @type {HTMLInputElement} */ (event.target);
    const value = field.value.trim();
    go({ [field.name]: field.name === "type" || field.name === "airline" ? value.toUpperCase() : value });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  at("clear").addEventListener("click", () => go(Object.fromEntries(Object.keys(FORMS).map((name) => [name, ""]))));
  at("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    redraw();
  });
  addEventListener("popstate", () => show());
}

async function main() {
  const [links, map] = await Promise.all([get("links"), get("map")]);
  setDocs(links.docs);
  sky = map;
  wire();
  await show();
}

main();
