// How values are written: numbers, times in UTC or an airport's local time, colours of phases.

export const PHASES = ["GROUND", "TAKEOFF", "CLIMB", "CRUISE", "LEVEL", "DESCENT", "APPROACH", "LANDING", "UNKNOWN"];

/** @type {Record<"dark" | "light", Record<string, string>>} */
const COLOURS = {
  dark: {
    GROUND: "#a99a86", TAKEOFF: "#b6cf4a", CLIMB: "#45b98c", CRUISE: "#5aa7e8", LEVEL: "#a397ee",
    DESCENT: "#efb54a", APPROACH: "#f08250", LANDING: "#ec6499", UNKNOWN: "#8f9aa5",
  },
  light: {
    GROUND: "#85755f", TAKEOFF: "#6b8800", CLIMB: "#12805a", CRUISE: "#1f66ad", LEVEL: "#6353c4",
    DESCENT: "#b47400", APPROACH: "#cc4a14", LANDING: "#b8185b", UNKNOWN: "#7b8691",
  },
};

/** @returns {"dark" | "light"} */
export const theme = () => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");

/** @param {string} phase */
export const colour = (phase) => COLOURS[theme()][phase] ?? COLOURS[theme()].UNKNOWN;

/** @param {string} hex @param {number} [alpha] @returns {number[]} */
export function rgb(hex, alpha = 255) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255, alpha];
}

/** A custom property of the style sheet, such as `--line`. @param {string} name */
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Phases as they are read. @param {string} name */
export const words = (name) => name.charAt(0) + name.slice(1).toLowerCase().replaceAll("_", " ");

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
/** @param {number | null | undefined} value @param {string} unit @param {number} [factor] */
export const quantity = (value, unit, factor = 1) =>
  value == null || Number.isNaN(value) ? "–" : `${whole.format(value * factor)}${unit && "\u202f"}${unit}`;

export const FEET = 1 / 0.3048;
export const KNOTS = 3600 / 1852;

/** @param {number | null | undefined} metres */
export const feet = (metres) => quantity(metres, "ft", FEET);
/** @param {number | null | undefined} mps */
export const knots = (mps) => quantity(mps, "kt", KNOTS);

/** A time span, short. @param {number | null | undefined} seconds */
export function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}\u202fs`;
  if (seconds < 6000) return `${Math.round(seconds / 60)}\u202fmin`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}\u202fh`;
  return `${Math.round(seconds / 86400)}\u202fdays`;
}

let zone = "UTC";
/** @type {Record<string, Intl.DateTimeFormat>} */
let written = {};

/** Times are written in this zone from now on. @param {string} name */
export function setZone(name) {
  zone = name;
  written = {};
}

/** @param {string} key @param {Intl.DateTimeFormatOptions} options @param {number} ms */
function write(key, options, ms) {
  written[key] ??= new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
  return written[key].format(ms);
}

/** @param {number} ms */
export const clock = (ms) => write("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit" }, ms);
/** @param {number} ms */
export const minute = (ms) => write("minute", { hour: "2-digit", minute: "2-digit" }, ms);
/** @param {number} ms */
export const day = (ms) => write("day", { day: "numeric", month: "long", year: "numeric" }, ms);
/** @param {number} ms */
export const dayHour = (ms) =>
  write("dayHour", { year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit" }, ms);
export const zoneName = () => (zone === "UTC" ? "UTC" : "local");

/** The element of an id. @param {string} id @returns {HTMLElement} */
export function at(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`There is no #${id}.`);
  return found;
}

/** An element with text and children; no markup comes from data. @param {string} tag
 * @param {Record<string, string>} [attributes] @param {(Node | string)[]} [children] */
export function make(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
