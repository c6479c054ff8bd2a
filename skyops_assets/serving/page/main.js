// The live page: what belongs together is put together here.

import { drawHeat, drawPhases, drawProfile, drawTimeline } from "./charts.js";
import { get, listen, track, tracks } from "./data.js";
import { PHASES, at, clock, colour, dayHour, make, setZone, words, zoneName } from "./format.js";
import { SkyMap } from "./map.js";
import { Panels, figures, label } from "./panels.js";
import { Replay } from "./replay.js";
import { Live } from "./sky.js";

const HOUR_MS = 3_600_000, MINUTE_MS = 60_000;
const KINDS = ["fix", "about", "prediction", "alert", "feed"];
/** Panels and charts follow no oftener than so. The map follows each load; what joins later waits for more of it. */
const PANELS_MS = 1000, CHARTS_MS = 5000, JOINS_MS = 1000, FRAME_MS = 80;

const live = new Live();
/** @type {Replay | null} */
let replay = null;
let isOpen = false, isPlaying = false, selected = "", lastTick = 0, panelsAt = 0, chartsAt = 0;
let isAsked = false, isMoved = false, hasJoined = false;
/** @type {any[]} */
let hours = [];
/** @type {Map<number, Map<string, number>>} Of the hour that is replayed, or of the last two. */
let minutes = new Map();
/** @type {any[]} */
let countries = [];
/** @type {import("./data.js").Track | undefined} */
let profile;
/** @type {any} */
let sky = { airports: [], runways: [], rings_nm: [] };
/** @type {SkyMap} */
let map;

const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (at(id));
const panels = new Panels(choose);

const scene = () => (replay ?? live).scene();

/** Draws with the next frame, however often it is asked. @param {boolean} [hasMoved] whether the map is another */
function show(hasMoved = true) {
  isMoved ||= hasMoved;
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const present = scene(), now = performance.now();
    if (isMoved) {
      map.show(present, selected);
      isMoved = hasJoined = false;
    }
    label(replay ? "replay" : isOpen ? "live" : "waiting", present.at, zoneName());
    if (now - panelsAt > PANELS_MS) {
      panelsAt = now;
      figures(present);
      panels.show(present, input("airport").value);
      tellOfSilence(present);
    }
    if (now - chartsAt > CHARTS_MS) {
      chartsAt = now;
      drawCharts(present);
    }
  });
}

/** Draws the map once more for all that joins its aircraft within a second: with thousands of them it costs. */
function join() {
  if (hasJoined) return;
  hasJoined = true;
  setTimeout(() => {
    if (hasJoined && !replay) show();
  }, JOINS_MS);
}

/** @param {import("./sky.js").Scene} present */
function drawCharts(present) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const one of present.aircraft) counts.set(one.phase, (counts.get(one.phase) ?? 0) + 1);
  drawPhases(counts);
  if (!replay && counts.size) {
    // The table has a minute only after the hourly build; until then it is what was seen here.
    minutes.set(Math.floor(present.at / MINUTE_MS) * MINUTE_MS, counts);
    for (const one of minutes.keys()) if (one < present.at - 2 * HOUR_MS) minutes.delete(one);
  }
  drawTimeline(minutes, present.at);
  drawHeat(countries);
  if (selected) drawProfile(profile, present.at);
}

/** @param {import("./sky.js").Scene} present */
function tellOfSilence(present) {
  const notice = at("notice");
  let text = "";
  if (replay?.failed) text = replay.failed;
  else if (replay && !replay.isReady()) text = "Loading positions";
  else if (!replay && isOpen && !present.aircraft.length) {
    text = hours.length
      ? "No aircraft was heard in the last minute. You can replay a stored hour below."
      : "No aircraft was heard in the last minute, and no hour is stored: start `skyops collect`.";
  }
  notice.hidden = !text;
  if (notice.textContent !== text) notice.textContent = text;
}

/** All that is read of times that are past. @param {number} from @param {number} to */
async function readPast(from, to) {
  const iso = (/** @type {number} */ ms) => new Date(ms).toISOString();
  const [counted, heat] = await Promise.all([
    get(`phases?limit=5000&from=${iso(from)}&to=${iso(to)}`),
    get(`countries?limit=5000&from=${iso(to - 24 * HOUR_MS)}&to=${iso(to)}`),
  ]);
  minutes = new Map();
  for (const row of counted.data) {
    const minute = Date.parse(row.minute_at);
    if (!minutes.has(minute)) minutes.set(minute, new Map());
    minutes.get(minute)?.set(row.phase, row.aircraft_count);
  }
  countries = heat.data;
  refresh();
}

/** Everything anew with the next frame: the colours or the zone are others, or what is looked at. */
function refresh() {
  panelsAt = chartsAt = -Infinity;
  show();
}

/** Looks at an aircraft. @param {string} icao24 empty: at none */
function choose(icao24) {
  selected = icao24;
  panels.selected = icao24;
  profile = undefined;
  at("flight").hidden = !icao24;
  const present = scene();
  const one = present.aircraft.find((each) => each.icao24 === icao24);
  if (one) map.goTo(one);
  readProfile(one);
  map.trailsAt = -Infinity;
  refresh();
}

/** All of it, also what a replay comes to later. @param {import("./sky.js").Aircraft | undefined} one */
async function readProfile(one) {
  if (!one?.flightId) return;
  const { icao24 } = one;
  const found = await track(one.flightId, 20).catch(() => null);
  if (selected !== icao24) return;
  profile = found?.tracks[0];
  refresh();
}

/** @param {number} moment in ms; its hour is replayed from there */
function begin(moment) {
  const hour = Math.floor(moment / HOUR_MS) * HOUR_MS;
  const isOther = replay?.hour !== hour;
  if (!replay || isOther) {
    replay = new Replay(hour, () => {
      panelsAt = -Infinity;
      show();
    });
    readPast(hour, hour + HOUR_MS).catch(() => {});
  }
  replay.at = moment;
  replay.askedAt = -Infinity;
  const select = /** @type {HTMLSelectElement} */ (at("hour"));
  select.value = String(hour);
  for (const id of ["play", "slider"]) input(id).disabled = false;
  at("live").setAttribute("aria-pressed", "false");
  replay.need();
  placed();
  remember();
  refresh();
}

function goLive() {
  replay = null;
  play(false);
  for (const id of ["play", "slider"]) input(id).disabled = true;
  at("live").setAttribute("aria-pressed", "true");
  at("at").textContent = "–";
  history.replaceState(null, "", location.pathname);
  /** @type {HTMLSelectElement} */ (at("hour")).value = "";
  readPast(live.now() - 2 * HOUR_MS, live.now()).catch(() => {});
  refresh();
}

/** @param {boolean} goes */
function play(goes) {
  isPlaying = goes;
  at("play").textContent = goes ? "❚❚" : "▶";
  at("play").setAttribute("aria-label", goes ? "Pause" : "Play");
  lastTick = performance.now();
  if (goes) requestAnimationFrame(tick);
  else remember();
}

/** @param {number} now */
function tick(now) {
  if (!isPlaying || !replay) return;
  if (now - lastTick >= FRAME_MS) {
    // Who comes back to the page goes on where it was left.
    const passed = Math.min(now - lastTick, 1000);
    lastTick = now;
    if (replay.isReady()) replay.at += passed * Number(input("rate").value);
    if (replay.at >= replay.hour + HOUR_MS) {
      const next = replay.hour + HOUR_MS;
      if (hours.some((one) => Date.parse(one.hour_at) === next)) begin(next);
      else {
        replay.at = next - 1000;
        play(false);
      }
    }
    replay.need();
    placed();
    show();
  }
  requestAnimationFrame(tick);
}

/** Where the slider stands. */
function placed() {
  if (!replay) return;
  const slider = input("slider"), text = clock(replay.at);
  slider.value = String(Math.floor((replay.at - replay.hour) / 1000));
  slider.setAttribute("aria-valuetext", text);
  if (at("at").textContent !== text) at("at").textContent = text;
}

/** What is replayed stands in the address, which can be sent to others. */
function remember() {
  if (replay) history.replaceState(null, "", `#replay=${new Date(replay.at).toISOString().slice(0, 19)}Z`);
}

function fillHours() {
  at("hour").replaceChildren(
    make("option", { value: "", disabled: "", ...(replay ? {} : { selected: "" }) }, [hours.length ? "Replay an hour" : "No hours are stored"]),
    ...hours.map((one) => make("option", { value: String(Date.parse(one.hour_at)) },
      [`${dayHour(Date.parse(one.hour_at))}, ${one.aircraft_count} aircraft`])),
  );
  if (replay) /** @type {HTMLSelectElement} */ (at("hour")).value = String(replay.hour);
}

function fillLegend() {
  at("legend").replaceChildren(...PHASES.filter((phase) => phase !== "UNKNOWN").map((phase) => {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    mark.setAttribute("viewBox", "0 0 8 8");
    mark.setAttribute("aria-hidden", "true");
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ cx: "4", cy: "4", r: "4", fill: colour(phase) })) dot.setAttribute(name, value);
    mark.append(dot);
    return make("li", {}, [mark, words(phase)]);
  }));
}

function fillAirports() {
  panels.airports = new Map(sky.airports.map((/** @type {any} */ one) => [one.airport, one]));
  at("airport").append(...sky.airports.map((/** @type {any} */ one) => make("option", { value: one.airport, title: one.name }, [one.airport])));
  const zones = new Map(sky.airports.filter((/** @type {any} */ one) => one.timezone).map((/** @type {any} */ one) => [one.timezone, one.airport]));
  at("zone").append(...[...zones].map(([zone]) => make("option", { value: zone }, [zone.split("/").at(-1).replaceAll("_", " ")])));
}

function wire() {
  at("live").addEventListener("click", goLive);
  at("play").addEventListener("click", () => play(!isPlaying));
  at("hour").addEventListener("change", () => {
    begin(Number(input("hour").value));
    play(true);
  });
  at("slider").addEventListener("input", () => replay && begin(replay.hour + 1000 * Math.min(3599, Number(input("slider").value))));
  at("replay").addEventListener("submit", (event) => event.preventDefault());
  at("airport").addEventListener("change", () => {
    const airport = sky.airports.find((/** @type {any} */ one) => one.airport === input("airport").value);
    if (airport) map.map.easeTo({ center: [airport.longitude_deg, airport.latitude_deg], zoom: 8.6, duration: 500 });
    refresh();
  });
  at("zone").addEventListener("change", () => {
    setZone(input("zone").value);
    panels.zone = input("zone").value;
    fillHours();
    placed();
    refresh();
  });
  at("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    fillLegend();
    map.paint();
    refresh();
  });
  at("close").addEventListener("click", () => choose(""));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && selected) choose("");
  });
  at("find").addEventListener("change", () => {
    const asked = input("find").value.trim().toUpperCase();
    const one = asked && scene().aircraft.find((each) => each.callsign === asked || each.icao24.toUpperCase() === asked);
    if (one) {
      choose(one.icao24);
      input("find").value = "";
    }
  });
  addEventListener("hashchange", () => follow());
}

/** Goes where the address says. */
function follow() {
  const asked = Date.parse(new URLSearchParams(location.hash.slice(1)).get("replay") ?? "");
  if (Number.isNaN(asked)) return false;
  begin(asked);
  play(true);
  return true;
}

async function main() {
  [sky, { data: hours }] = await Promise.all([get("map"), get("hours?limit=1000").catch(() => ({ data: [] }))]);
  map = new SkyMap(sky, (one) => choose(one?.icao24 ?? ""));
  fillLegend();
  fillAirports();
  fillHours();
  await map.open();
  wire();
  let isFirst = true;
  listen(KINDS, {
    rows: (kind, rows, isWhole) => {
      live.take(kind, rows, isWhole);
      if (kind === "feed" && isFirst) {
        isFirst = false;
        opened();
      }
      if (!replay) {
        if (kind === "about" || kind === "alert") join();
        show(kind === "fix");
      }
    },
    gone: (kind, keys) => {
      live.drop(kind, keys);
      if (!replay) join();
    },
    state: (open) => {
      isOpen = open;
      show();
    },
  });
  setInterval(() => {
    if (!isPlaying) replay?.need();
    if (!replay || !isPlaying) show(false);
  }, 1000);
  setInterval(() => {
    get("hours?limit=1000").then(({ data }) => {
      if (data.length === hours.length) return;
      hours = data;
      fillHours();
    }).catch(() => {});
  }, 10 * MINUTE_MS);
}

/** The stream is there: what was before, or, where nothing is live, the newest hour that is stored. */
function opened() {
  if (follow()) return;
  const now = live.now();
  if (!live.aircraft.size && !live.feed?.newest_position_at && hours.length) {
    begin(Date.parse(hours[0].hour_at));
    play(true);
    return;
  }
  tracks(now - 5 * MINUTE_MS, 5, 10).then(({ tracks: found }) => {
    live.before(found);
    show();
  }).catch(() => {});
  readPast(now - 2 * HOUR_MS, now).catch(() => {});
}

main().catch((error) => {
  const notice = at("notice");
  notice.hidden = false;
  notice.textContent = `The page cannot be shown: ${error.message}`;
  throw error;
});
