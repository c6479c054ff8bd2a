// What is known of the aircraft that are shown, live or of a moment that is replayed.

/**
 * @typedef {{icao24: string, flightId: string | null, callsign: string | null, typecode: string | null,
 *   country: string | null, phase: string, heardAt: number, lat: number, lon: number, altitude: number | null,
 *   speed: number | null, direction: number | null, rate: number | null, path: number[][], pathAt: number[]}} Aircraft
 * `heardAt` and `pathAt` are in ms.
 * @typedef {import("./data.js").Row} Row
 * @typedef {{at: number, aircraft: Aircraft[], arrivals: Row[], alerts: Row[], feed: Row | null}} Scene
 */

/** Trails are so long. */
export const TRAIL_MS = 5 * 60_000;

/** @param {Row} alert */
export const isCritical = (alert) => alert.alert_class === "window" || alert.alert.startsWith("squawk_");

/** What is live, kept up to date by events. */
export class Live {
  constructor() {
    /** @type {Map<string, Aircraft>} */
    this.aircraft = new Map();
    /** @type {Map<string, Row>} */
    this.about = new Map();
    /** @type {Map<string, Row>} */
    this.arrivals = new Map();
    /** @type {Map<string, Row>} */
    this.alerts = new Map();
    /** @type {Row | null} */
    this.feed = null;
    /** The server's clock less this machine's. */
    this.ahead = 0;
  }

  now() {
    return Date.now() + this.ahead;
  }

  /** @param {string} kind @param {Row[]} rows @param {boolean} isWhole */
  take(kind, rows, isWhole) {
    if (kind === "fix") this.fixes(rows, isWhole);
    else if (kind === "about") for (const row of rows) this.know(row);
    else if (kind === "feed") {
      this.feed = rows[0];
      this.ahead = Date.parse(rows[0].observed_at) - Date.now();
    } else {
      const held = kind === "prediction" ? this.arrivals : this.alerts;
      if (isWhole) held.clear();
      for (const row of rows) held.set(kind === "prediction" ? keyOf(row) : alertKey(row), row);
    }
  }

  /** @param {string} kind @param {any[][]} keys */
  drop(kind, keys) {
    const held = { fix: this.aircraft, prediction: this.arrivals, alert: this.alerts }[kind];
    for (const key of keys) held?.delete(key.map((one) => one ?? "").join(" "));
  }

  /** @param {Row[]} rows @param {boolean} isWhole */
  fixes(rows, isWhole) {
    const before = this.aircraft;
    if (isWhole) this.aircraft = new Map();
    for (const row of rows) {
      const heardAt = Date.parse(row.heard_at);
      let one = before.get(row.icao24);
      if (!one) {
        one = {
          icao24: row.icao24, flightId: null, callsign: null, typecode: null, country: null, phase: "UNKNOWN",
          heardAt: 0, lat: 0, lon: 0, altitude: null, speed: null, direction: null, rate: null, path: [], pathAt: [],
        };
      }
      this.aircraft.set(row.icao24, one);
      if (heardAt < one.heardAt) continue;
      one.heardAt = heardAt;
      one.callsign = row.callsign ?? one.callsign;
      one.lat = row.latitude_deg;
      one.lon = row.longitude_deg;
      one.altitude = row.altitude_m;
      one.speed = row.ground_speed_mps;
      one.direction = row.track_deg ?? one.direction;
      one.rate = row.vertical_rate_mps;
      one.path.push([one.lon, one.lat]);
      one.pathAt.push(heardAt);
      let old = 0;
      while (one.pathAt[old] < heardAt - TRAIL_MS) old++;
      if (old) {
        one.path.splice(0, old);
        one.pathAt.splice(0, old);
      }
      const known = this.about.get(row.icao24);
      if (known) this.tell(one, known);
    }
  }

  /** What the lane knows. @param {Row} row */
  know(row) {
    this.about.set(row.icao24, row);
    if (this.about.size > 4 * this.aircraft.size + 1000) {
      for (const key of this.about.keys()) if (!this.aircraft.has(key)) this.about.delete(key);
    }
    const one = this.aircraft.get(row.icao24);
    if (one) this.tell(one, row);
  }

  /** @param {Aircraft} one @param {Row} row */
  tell(one, row) {
    one.flightId = row.flight_id;
    one.callsign = row.callsign ?? one.callsign;
    one.typecode = row.typecode;
    one.country = row.country;
    one.phase = row.phase ?? "UNKNOWN";
  }

  /** The minutes before the page was opened. @param {import("./data.js").Track[]} tracks */
  before(tracks) {
    for (const track of tracks) {
      const one = this.aircraft.get(track.icao24);
      if (!one) continue;
      const first = one.pathAt[0] ?? Infinity;
      const path = [], pathAt = [];
      for (let i = 0; i < track.seconds.length && track.seconds[i] * 1000 < first; i++) {
        path.push([track.lon[i], track.lat[i]]);
        pathAt.push(track.seconds[i] * 1000);
      }
      one.path.unshift(...path);
      one.pathAt.unshift(...pathAt);
    }
  }

  /** @returns {Scene} */
  scene() {
    return {
      at: this.now(), aircraft: [...this.aircraft.values()], arrivals: [...this.arrivals.values()],
      alerts: [...this.alerts.values()], feed: this.feed,
    };
  }
}

/** @param {Row} row */
const keyOf = (row) => `${row.icao24} ${row.flight_id}`;

/** @param {Row} row */
const alertKey = (row) =>
  [row.icao24, row.flight_id, row.alert, row.scope, row.scope_name, row.started_at].map((one) => one ?? "").join(" ");
