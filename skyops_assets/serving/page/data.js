// What comes from the service: answers as JSON, and the stream of packed events.

/** @typedef {Record<string, any>} Row */

const AGAIN_MS = 5000;

/** @param {string} path @returns {Promise<any>} */
export async function get(path) {
  const answer = await fetch(`/v1/${path}`);
  if (answer.status === 401) location.reload();  // The session is over: the page says how to enter.
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `${path}: ${answer.status}`);
  return body;
}

/**
 * Listens to what changes, until the function that it returns is called.
 * @param {string[]} kinds
 * @param {{rows: (kind: string, rows: Row[], isWhole: boolean) => void, gone: (kind: string, keys: any[][]) => void,
 *   state: (isOpen: boolean) => void}} to
 */
export function listen(kinds, to) {
  const stream = new EventSource(`/v1/events?packed=true&kinds=${kinds.join(",")}`);
  let stop = () => stream.close();
  /** @type {Record<string, string[]>} */
  let columns = {};
  /** @type {Set<string>} */
  let begun = new Set();
  stream.addEventListener("begin", (event) => {
    columns = JSON.parse(event.data).columns;
    begun = new Set();
    to.state(true);
  });
  for (const kind of kinds) {
    stream.addEventListener(kind, (event) => {
      const names = columns[kind];
      const rows = JSON.parse(event.data).map((/** @type {any[]} */ values) => {
        /** @type {Row} */
        const row = {};
        for (let i = 0; i < names.length; i++) row[names[i]] = values[i];
        return row;
      });
      to.rows(kind, rows, !begun.has(kind));
      begun.add(kind);
    });
    stream.addEventListener(`${kind}_gone`, (event) => to.gone(kind, JSON.parse(event.data)));
  }
  stream.onerror = () => {
    to.state(false);
    // A browser tries again by itself where the connection was lost, and not where the answer was a refusal.
    if (stream.readyState !== EventSource.CLOSED) return;
    const later = setTimeout(() => {
      get("feed").catch(() => {});  // Where the session is over the page says how to enter.
      stop = listen(kinds, to);
    }, AGAIN_MS);
    stop = () => clearTimeout(later);
  };
  return () => stop();
}

/**
 * @typedef {{icao24: string, flightId: string | null, callsign: string | null, typecode: string | null,
 *   seconds: number[], lat: number[], lon: number[], altitude: (number | null)[], speed: (number | null)[],
 *   direction: (number | null)[], phase: number[]}} Track
 * Times are seconds since 1970.
 */

/** All aircraft's. @param {number} from in ms @param {number} minutes @param {number} every in s */
export const tracks = async (from, minutes, every) =>
  unpack(await get(`tracks?from=${new Date(from).toISOString()}&minutes=${minutes}&every_s=${every}`));

/** One flight's. @param {string} flightId @param {number} every in s */
export const track = async (flightId, every) =>
  unpack(await get(`flights/${encodeURIComponent(flightId)}/track?every_s=${every}`));

/** @param {any} found @returns {{tracks: Track[], phases: string[]}} */
function unpack(found) {
  const begin = Date.parse(found.from) / 1000;
  return {
    phases: found.phases,
    tracks: found.tracks.map((/** @type {any[]} */ t) => ({
      icao24: t[0], flightId: t[1], callsign: t[2], typecode: t[3],
      seconds: t[4].map((/** @type {number} */ s) => begin + s),
      lat: t[5].map((/** @type {number} */ v) => v / 1e5), lon: t[6].map((/** @type {number} */ v) => v / 1e5),
      altitude: t[7], speed: t[8], direction: t[9], phase: t[10],
    })),
  };
}
