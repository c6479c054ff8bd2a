// An hour that is stored, played again: its positions in parts of five minutes, fetched ahead.

import { get, tracks } from "./data.js";
import { TRAIL_MS } from "./sky.js";

const PART_MS = 5 * 60_000;
/** Who was not heard for so long is not there. */
const SILENT_S = 60;
/** Boards are asked again after so much of the replay's time, and no oftener than so. */
const BOARD_MS = 10_000, BOARD_WAIT_MS = 1500;

/** @typedef {import("./sky.js").Aircraft} Aircraft */
/** @typedef {import("./data.js").Track} Track */

export class Replay {
  /** @param {number} hour its beginning, in ms @param {() => void} changed called when there is more to show */
  constructor(hour, changed) {
    this.hour = hour;
    this.at = hour;
    this.changed = changed;
    /** @type {Map<number, {tracks: Track[], phases: string[]} | null>} Null while it is fetched. */
    this.parts = new Map();
    /** @type {any} */
    this.board = { arrivals: [], alerts: [] };
    this.boardAt = -Infinity;
    this.askedAt = -Infinity;
    this.isAsking = false;
    this.failed = "";
  }

  /** Fetches what a moment needs, and what comes next. */
  need() {
    const part = Math.floor(this.at / PART_MS) * PART_MS;
    for (const one of [part, part - PART_MS, part + PART_MS]) {
      if (!this.parts.has(one)) this.fetch(one);
    }
    for (const one of this.parts.keys()) if (Math.abs(one - part) > 3 * PART_MS) this.parts.delete(one);
    this.ask();
  }

  /** @param {number} part */
  async fetch(part) {
    this.parts.set(part, null);
    try {
      this.parts.set(part, await tracks(part, PART_MS / 60_000, 5));
      this.failed = "";
    } catch (error) {
      this.failed = String(error instanceof Error ? error.message : error);
      setTimeout(() => this.parts.delete(part), 3000);
    }
    this.changed();
  }

  /** Boards and alerts as they were, and were known. */
  async ask() {
    const isNear = Math.abs(this.at - this.boardAt) < BOARD_MS;
    if (isNear || this.isAsking || performance.now() - this.askedAt < BOARD_WAIT_MS) return;
    this.isAsking = true;
    this.askedAt = performance.now();
    const at = this.at;
    try {
      this.board = await get(`moment?at=${new Date(at).toISOString()}`);
      this.boardAt = at;
    } catch { /* The one before stays; the next moment asks again. */ }
    this.isAsking = false;
    this.changed();
  }

  isReady() {
    return Boolean(this.parts.get(Math.floor(this.at / PART_MS) * PART_MS));
  }

  /** @returns {import("./sky.js").Scene} */
  scene() {
    /** @type {Map<string | null, Aircraft>} */
    const there = new Map();
    const part = Math.floor(this.at / PART_MS) * PART_MS;
    const seconds = this.at / 1000;
    const [before, present, next] = [part - PART_MS, part, part + PART_MS].map((one) => this.parts.get(one));
    for (const held of [before, present]) {
      if (!held) continue;
      for (const track of held.tracks) {
        const i = lastAtOrBefore(track.seconds, seconds);
        if (i < 0) continue;
        const one = there.get(track.flightId);
        const path = one?.path ?? [], pathAt = one?.pathAt ?? [];
        for (let k = lastAtOrBefore(track.seconds, seconds - TRAIL_MS / 1000) + 1; k <= i; k++) {
          path.push([track.lon[k], track.lat[k]]);
          pathAt.push(track.seconds[k] * 1000);
        }
        there.set(track.flightId, ghost(track, i, path, pathAt, held.phases));
      }
    }
    const [onNow, onNext] = [present, next].map((one) => new Map(one?.tracks.map((track) => [track.flightId, track])));
    const aircraft = [...there.values()].filter((one) => one.heardAt >= this.at - SILENT_S * 1000);
    for (const one of aircraft) onward(one, [onNow.get(one.flightId), onNext.get(one.flightId)], seconds);
    return { at: this.at, aircraft, arrivals: this.board.arrivals, alerts: this.board.alerts, feed: null };
  }
}

/** @param {Track} track @param {number} i @param {number[][]} path @param {number[]} pathAt @param {string[]} phases
 * @returns {Aircraft} */
function ghost(track, i, path, pathAt, phases) {
  return {
    icao24: track.icao24, flightId: track.flightId, callsign: track.callsign, typecode: track.typecode,
    country: null, phase: phases[track.phase[i]] ?? "UNKNOWN", heardAt: track.seconds[i] * 1000,
    lat: track.lat[i], lon: track.lon[i], altitude: track.altitude[i], speed: track.speed[i],
    direction: track.direction[i], rate: null, path, pathAt,
  };
}

/** Between two positions it is in between. @param {Aircraft} one @param {(Track | undefined)[]} tracks
 * @param {number} seconds */
function onward(one, tracks, seconds) {
  for (const track of tracks) {
    if (!track) continue;
    const k = lastAtOrBefore(track.seconds, seconds) + 1;
    if (k >= track.seconds.length) continue;
    const from = one.heardAt / 1000, span = track.seconds[k] - from;
    if (span <= 0 || span > SILENT_S) return;
    const share = (seconds - from) / span;
    one.lat += share * (track.lat[k] - one.lat);
    one.lon += share * (track.lon[k] - one.lon);
    one.path.push([one.lon, one.lat]);
    one.pathAt.push(seconds * 1000);
    return;
  }
}

/** @param {number[]} sorted @param {number} value */
function lastAtOrBefore(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
