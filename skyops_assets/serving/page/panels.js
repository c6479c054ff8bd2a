// What is read: key figures, the board of arrivals, alerts, and the flight that is looked at.

import { at, clock, day, feet, knots, make, minute, quantity, span, words } from "./format.js";
import { isCritical } from "./sky.js";

/** @typedef {import("./sky.js").Aircraft} Aircraft */
/** @typedef {import("./sky.js").Scene} Scene */
/** @typedef {import("./data.js").Row} Row */

/** Text goes in only where it is another: what reads the screen aloud, and the browser, do less.
 * @param {string} id @param {string} text */
function say(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

/** @param {(number | null)[]} values */
function mean(values) {
  const known = values.filter((value) => value != null);
  return known.length ? known.reduce((sum, value) => Number(sum) + Number(value), 0) / known.length : null;
}

/** @param {Scene} scene */
export function figures(scene) {
  const flying = scene.aircraft.filter((one) => one.phase !== "GROUND");
  const here = new Set(scene.aircraft.map((one) => one.icao24));
  const abnormal = new Set(scene.alerts.map((alert) => alert.icao24).filter((one) => here.has(one))).size;
  say("f-aircraft", quantity(scene.aircraft.length, ""));
  say("f-altitude", feet(mean(flying.map((one) => one.altitude))));
  say("f-speed", knots(mean(flying.map((one) => one.speed))));
  say("f-abnormal", here.size ? `${((100 * abnormal) / here.size).toFixed(1)}\u202f%` : "–");
  say("f-feed", scene.feed ? span(scene.feed.newest_position_age_s) : "–");
  say("f-lane", scene.feed ? span(scene.feed.lane_lag_s) : "–");
  at("f-feed").parentElement?.classList.toggle("bad", (scene.feed?.newest_position_age_s ?? 0) > 60);
  at("f-lane").parentElement?.classList.toggle("bad", (scene.feed?.lane_lag_s ?? 0) > 60);
}

const time = (/** @type {string | null} */ text) => (text ? minute(Date.parse(text)) : "–");

/** Rows by a key, so that what is there stays (with the focus that it has). */
class List {
  /** @param {HTMLElement} holder @param {(row: Row) => string} key @param {(row: Row) => HTMLElement} build
   * @param {(row: Row) => string} content what a row shows: it is built anew where that is another */
  constructor(holder, key, build, content) {
    this.holder = holder;
    this.key = key;
    this.build = build;
    this.content = content;
    /** @type {Map<string, {element: HTMLElement, content: string}>} */
    this.held = new Map();
  }

  /** @param {Row[]} rows */
  show(rows) {
    /** @type {Map<string, {element: HTMLElement, content: string}>} */
    const next = new Map();
    for (const row of rows) {
      const key = this.key(row), content = this.content(row);
      let one = this.held.get(key);
      if (!one || one.content !== content) {
        const element = this.build(row);
        const isFocused = one?.element.contains(document.activeElement);
        if (one) one.element.replaceWith(element);
        if (isFocused) element.querySelector("button")?.focus();
        one = { element, content };
      }
      next.set(key, one);
    }
    for (const [key, one] of this.held) if (!next.has(key)) one.element.remove();
    let place = this.holder.firstElementChild;
    for (const one of next.values()) {
      if (one.element === place) place = place.nextElementSibling;
      else this.holder.insertBefore(one.element, place);
    }
    this.held = next;
  }
}

export class Panels {
  /** @param {(icao24: string) => void} choose */
  constructor(choose) {
    this.selected = "";
    /** @type {Map<string, {longitude_deg: number, latitude_deg: number}>} */
    this.airports = new Map();
    this.zone = "";
    const open = (/** @type {Row} */ row, /** @type {string} */ text) => {
      const button = make("button", { type: "button" }, [text]);
      button.addEventListener("click", () => choose(row.icao24));
      return button;
    };
    this.board = new List(
      at("rows"), (row) => `${row.icao24} ${row.flight_id}`,
      (row) => {
        const cells = [
          make("td", { class: "strong" }, [time(row.predicted_landing_at)]),
          make("td", { class: "muted" }, [
            row.predicted_low_at ? `${time(row.predicted_low_at)}–${time(row.predicted_high_at)}` : "–"]),
          make("th", { scope: "row" }, [open(row, row.callsign ?? row.icao24)]),
          make("td", { class: "muted" }, [row.typecode ?? "–"]),
          make("td", {}, [row.airport]),
          make("td", { class: "number" }, [row.nm == null ? "" : String(row.nm)]),
          make("td", {}, [make("span", { class: `tag ${row.status}` }, [row.is_on_final ? "final" : row.status])]),
        ];
        const line = make("tr", row.icao24 === this.selected ? { "aria-selected": "true" } : {}, cells);
        line.addEventListener("click", () => choose(row.icao24));
        return line;
      },
      (row) => [row.predicted_landing_at, row.predicted_low_at, row.callsign, row.status, row.is_on_final, row.typecode,
        row.nm, row.icao24 === this.selected, this.zone].join("|"),
    );
    this.alerts = new List(
      at("alert-list"), (row) => [row.icao24, row.alert, row.scope_name, row.started_at].join(" "),
      (row) => {
        const what = words(row.alert);
        const strength = row.strongest_value == null ? "" : `${quantity(row.strongest_value, row.unit ?? "")} (limit ${quantity(row.threshold, row.unit ?? "")})`;
        const share = row.abnormal_share == null ? "" : `${row.abnormal_count} of ${row.aircraft_count} aircraft`;
        const who = row.icao24 ? open(row, row.callsign ?? row.icao24) : make("b", {}, [row.scope_name ?? row.scope]);
        return make("li", { class: isCritical(row) ? "critical" : row.alert_class }, [
          who, make("span", {}, [what]), make("span", { class: "muted" }, [strength || share]),
          make("time", { class: "muted" }, [time(row.started_at)])]);
      },
      (row) => [row.callsign, row.strongest_value, row.abnormal_count, this.zone].join("|"),
    );
  }

  /** @param {Scene} scene @param {string} airport */
  show(scene, airport) {
    /** @type {Map<string, Aircraft>} */
    const here = new Map(scene.aircraft.map((one) => [one.icao24, one]));
    /** @type {Row[]} */
    const rows = scene.arrivals
      .filter((row) => !airport || row.airport === airport)
      .map((/** @type {Row} */ row) => /** @type {Row} */ ({ ...row, nm: this.distance(here.get(row.icao24), row.airport) }))
      .sort((a, b) => (a.predicted_landing_at ?? "9").localeCompare(b.predicted_landing_at ?? "9"));
    this.board.show(rows);
    say("board-count", String(rows.length));
    at("empty").hidden = rows.length > 0;
    const rank = (/** @type {Row} */ row) => (isCritical(row) ? 0 : row.alert_class === "flight" ? 1 : 2);
    this.alerts.show([...scene.alerts].sort((a, b) => rank(a) - rank(b) || b.started_at.localeCompare(a.started_at)));
    const critical = scene.alerts.filter(isCritical).length;
    say("alert-count", critical ? `${critical} critical of ${scene.alerts.length}` : String(scene.alerts.length));
    at("alerts").classList.toggle("none", scene.alerts.length === 0);
    const find = at("callsigns");
    if (document.activeElement === at("find") || !find.childElementCount) {
      find.replaceChildren(...[...here.values()].slice(0, 4000).map((one) => make("option", { value: one.callsign ?? one.icao24 })));
    }
    const arrival = scene.arrivals.find((row) => row.icao24 === this.selected);
    this.flight(here.get(this.selected), arrival, scene);
  }

  /** To an airport, in whole NM. @param {Aircraft | undefined} one @param {string} name */
  distance(one, name) {
    const airport = this.airports.get(name);
    if (!one || !airport) return null;
    const rad = Math.PI / 180, north = one.lat - airport.latitude_deg;
    const east = (one.lon - airport.longitude_deg) * Math.cos(((one.lat + airport.latitude_deg) / 2) * rad);
    return Math.round(60 * Math.hypot(north, east));
  }

  /** @param {Aircraft | undefined} one @param {Row | undefined} arrival @param {Scene} scene */
  flight(one, arrival, scene) {
    if (!this.selected) return;
    say("flight-name", one?.callsign ?? (one ? one.icao24 : this.selected));
    const own = scene.alerts.filter((alert) => alert.icao24 === this.selected).map((alert) => words(alert.alert));
    const facts = one
      ? {
        Address: one.icao24, Type: one.typecode ?? "–", Phase: words(one.phase), ...(one.country && { State: one.country }),
        Altitude: feet(one.altitude), Speed: knots(one.speed),
        Heard: `${Math.max(0, Math.round((scene.at - one.heardAt) / 1000))}\u202fs ago`,
        Track: one.direction == null ? "–" : `${Math.round(one.direction).toString().padStart(3, "0")}°`,
        ...(arrival && {
          [`Lands at ${arrival.airport}`]: time(arrival.predicted_landing_at),
          "90 % within": arrival.predicted_low_at ? `${time(arrival.predicted_low_at)}–${time(arrival.predicted_high_at)}` : "–",
          "Probability": `${Math.round(100 * arrival.landing_probability)}\u202f%`,
          Model: `${arrival.model_name.replaceAll(/[:_]/g, " ")} ${arrival.model_version}, at ${arrival.ring_nm} NM`,
        }),
        ...(own.length && { Alerts: [...new Set(own)].join(", ") }),
      }
      : { Heard: "not within the last minute" };
    const holder = at("flight-facts"), text = JSON.stringify(facts);
    if (holder.dataset.shown === text) return;
    holder.dataset.shown = text;
    holder.replaceChildren(...Object.entries(facts).map(([name, value]) =>
      make("div", ["Model", "Alerts"].includes(name) ? { class: "wide" } : {}, [
        make("dt", {}, [name]), make("dd", { title: String(value) }, [String(value)])])));
  }
}

/** What is shown, and of when. @param {"live" | "replay" | "waiting"} mode @param {number} moment @param {string} zone */
export function label(mode, moment, zone) {
  const holder = at("mode");
  holder.dataset.mode = mode;
  say("mode", mode === "live" ? "Live" : mode === "waiting" ? "Connecting" : `Replay of ${day(moment)}`);
  say("clock", `${clock(moment)} ${zone}`);
  document.body.dataset.mode = mode;
}

