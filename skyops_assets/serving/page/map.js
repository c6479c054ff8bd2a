// The map: land, rings and runways below, trails and aircraft above, drawn by deck.gl over MapLibre.

import { at, colour, css, rgb, theme } from "./format.js";
import { isCritical } from "./sky.js";

/** @typedef {import("./sky.js").Aircraft} Aircraft */

// By name, so that nobody looks for its types where npm could not be reached.
const MAPLIBRE = "/page/vendor/maplibre-gl.mjs";
const NM_DEG = 1 / 60;
/** Half a pixel at zoom 0, in degrees of longitude. */
const HALF_PIXEL_DEG = 180 / 512;

/** An arrow that points north; deck turns and colours it. */
function arrow() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = pen.strokeStyle = "#fff";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  // An aircraft from above: fuselage, wings, tail.
  const half = [[32, 4], [35.5, 12], [36, 25], [60, 40], [60, 45], [36, 38.5], [35, 52], [43, 58], [43, 61], [32, 58.5]];
  pen.beginPath();
  for (const [x, y] of half) pen.lineTo(x, y);
  for (const [x, y] of half.toReversed()) pen.lineTo(64 - x, y);
  pen.closePath();
  pen.fill();
  pen.stroke();
  return canvas;
}

/** @param {{latitude_deg: number, longitude_deg: number}} centre @param {number} radius in NM */
function circle(centre, radius) {
  const points = [];
  for (let turn = 0; turn <= 360; turn += 3) {
    const angle = (turn * Math.PI) / 180, lat = centre.latitude_deg + radius * NM_DEG * Math.cos(angle);
    const wide = Math.cos((centre.latitude_deg * Math.PI) / 180);
    points.push([centre.longitude_deg + (radius * NM_DEG * Math.sin(angle)) / wide, lat]);
  }
  return points;
}

/** Whether no graphics card draws, as on a remote desktop or in a container. */
function isDrawnInSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl && names ? String(gl.getParameter(names.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** Meridians and parallels of every degree (every five, and ten, from further away). @param {number} step */
function graticule(step) {
  const lines = [];
  for (let lon = -180; lon <= 180; lon += step) {
    lines.push([[lon, -80], [lon, 80]]);
  }
  for (let lat = -80; lat <= 80; lat += step) {
    const points = [];
    for (let lon = -180; lon <= 180; lon += 10) points.push([lon, lat]);
    lines.push(points);
  }
  return { type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } };
}

/**
 * The ends of a path, and the points without which it would be drawn elsewhere (Douglas and Peucker): each costs.
 * @param {number[][]} path @param {number} tolerance in degrees @param {number} [from] @param {number} [to] @returns {number[][]}
 */
function thinned(path, tolerance, from = 0, to = path.length - 1) {
  const [x, y] = path[from], [dx, dy] = [path[to][0] - x, path[to][1] - y], long = dx * dx + dy * dy;
  let furthest = 0, most = tolerance;
  for (let i = from + 1; i < to; i++) {
    const [px, py] = [path[i][0] - x, path[i][1] - y];
    const share = long ? Math.max(0, Math.min(1, (px * dx + py * dy) / long)) : 0;
    const apart = Math.hypot(px - share * dx, py - share * dy);
    if (apart > most) [furthest, most] = [i, apart];
  }
  if (!furthest) return [path[from], path[to]];
  return [...thinned(path, tolerance, from, furthest), ...thinned(path, tolerance, furthest, to).slice(1)];
}

export class SkyMap {
  /**
   * @param {any} sky what /v1/map says
   * @param {(aircraft: Aircraft | null) => void} chosen called with what was clicked on
   */
  constructor(sky, chosen) {
    this.sky = sky;
    this.chosen = chosen;
    /** @type {any[]} */
    this.still = [];
    /** @type {Aircraft[]} */
    this.aircraft = [];
    /** @type {Set<string>} */
    this.alerted = new Set();
    this.selected = "";
    this.trailsAt = -Infinity;
    /** @type {any} */
    this.trails = null;
    this.frames = 0;
    this.newest = 0;
    this.icon = arrow();
  }

  /** Resolves when there is something to draw on. */
  async open() {
    const [maplibre, land] = await Promise.all([
      import(MAPLIBRE), fetch("/page/vendor/countries-50m.json").then((answer) => answer.json()),
    ]);
    const { Map: LandMap, NavigationControl, ScaleControl, setWorkerUrl } = maplibre;
    setWorkerUrl("/page/vendor/maplibre-gl-worker.mjs");
    const line = (/** @type {number} */ step, /** @type {number} */ minzoom, /** @type {number} */ maxzoom) => ({
      id: `lines-${step}`, type: "line", source: `lines-${step}`, minzoom, maxzoom, paint: { "line-width": 0.6 },
    });
    const source = (/** @type {any} */ data) => ({ type: "geojson", data });
    this.map = new LandMap({
      container: "map",
      style: {
        version: 8,
        sources: {
          land: { ...source(topojson.feature(land, land.objects.land)), attribution: "Land: Natural Earth" },
          borders: source(topojson.mesh(land, land.objects.countries, (/** @type {any} */ a, /** @type {any} */ b) => a !== b)),
          "lines-1": source(graticule(1)), "lines-5": source(graticule(5)),
        },
        layers: [
          { id: "water", type: "background" },
          { id: "land", type: "fill", source: "land" },
          { id: "coast", type: "line", source: "land", paint: { "line-width": 0.8 } },
          { id: "borders", type: "line", source: "borders", paint: { "line-width": 0.8 } },
          line(5, 0, 5.5), line(1, 5.5, 24),
        ],
      },
      bounds: this.bounds(), fitBoundsOptions: { padding: 24 },
      attributionControl: { compact: true }, dragRotate: false, pitchWithRotate: false, maxZoom: 15,
      fadeDuration: 0,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new ScaleControl({ unit: "nautical" }), "bottom-left");
    this.map.getCanvas().setAttribute("aria-label", "Map of aircraft; arrow keys move it, + and - zoom");
    await new Promise((done) => this.map.once("load", done));
    this.overlay = new deck.MapboxOverlay({
      interleaved: false, layers: [], pickingRadius: 8,
      onClick: (/** @type {any} */ picked) => this.chosen(picked.layer?.id === "aircraft" ? picked.object : null),
      getCursor: (/** @type {any} */ state) => (state.isHovering ? "pointer" : "grab"),
      onAfterRender: () => this.rendered(),
      // Four samples a pixel: on a processor, a third of a frame.
      deviceProps: { type: "webgl", webgl: { antialias: !isDrawnInSoftware() } },
    });
    this.map.addControl(this.overlay);
    // A label is there from where it has room on, and trails have the bends that are seen.
    this.map.on("zoomend", () => {
      this.trailsAt = -Infinity;
      this.draw();
    });
    this.paint();
  }

  /** Around the watched airports, by the larger ring. */
  bounds() {
    const { airports, rings_nm: rings } = this.sky;
    if (!airports.length) return [[-12, 36], [30, 60]];
    const points = airports.flatMap((/** @type {any} */ one) => circle(one, Math.min(...rings) * 1.1));
    const [lons, lats] = [0, 1].map((k) => points.map((/** @type {number[]} */ point) => point[k]));
    return [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]];
  }

  /** Takes the colours of the style sheet, which has them for light and dark. */
  paint() {
    for (const [layer, property, name] of [
      ["water", "background-color", "--water"], ["land", "fill-color", "--land"],
      ["coast", "line-color", "--coast"], ["borders", "line-color", "--border"], ["lines-1", "line-color", "--graticule"],
      ["lines-5", "line-color", "--graticule"],
    ]) {
      this.map.setPaintProperty(layer, property, css(name));
    }
    const { airports, runways, rings_nm: rings } = this.sky;
    const ring = css("--ring"), text = rgb(css("--muted")), back = rgb(css("--land"), 200);
    this.still = [
      new deck.PathLayer({
        id: "rings", widthUnits: "pixels", getWidth: 1,
        data: airports.flatMap((/** @type {any} */ one) => rings.map((/** @type {number} */ nm) => ({ path: circle(one, nm), nm }))),
        getPath: (/** @type {any} */ drawn) => drawn.path,
        // The inner ones carry the eye; the outer ones are there for who looks for them.
        getColor: (/** @type {any} */ drawn) => rgb(ring, drawn.nm === Math.min(...rings) ? 150 : 55),
      }),
      new deck.PathLayer({
        id: "runways", data: runways, getColor: rgb(css("--runway")), getWidth: 45, widthMinPixels: 1.5,
        getPath: (/** @type {any} */ one) => [
          [one.from_longitude_deg, one.from_latitude_deg], [one.to_longitude_deg, one.to_latitude_deg]],
      }),
    ];
    this.airportNames = () =>
      new deck.TextLayer({
        id: "airports", data: this.apart(airports), getText: (/** @type {any} */ one) => one.airport,
        getPosition: (/** @type {any} */ one) => [one.longitude_deg, one.latitude_deg],
        getSize: 12, getColor: text, getPixelOffset: [0, 16], fontWeight: 600,
        fontFamily: "system-ui, sans-serif", background: true, getBackgroundColor: back, backgroundPadding: [3, 1],
      });
    this.trailsAt = -Infinity;
    this.draw();
  }

  /** Those whose names do not lie over each other, the ones with more runways first. @param {any[]} airports */
  apart(airports) {
    /** @type {any[]} */
    const placed = [];
    const runways = (/** @type {any} */ one) => this.sky.runways.filter((/** @type {any} */ each) => each.airport === one.airport).length;
    return [...airports].sort((a, b) => runways(b) - runways(a)).filter((one) => {
      const point = this.map.project([one.longitude_deg, one.latitude_deg]);
      const isFree = placed.every((other) => Math.abs(other.x - point.x) > 42 || Math.abs(other.y - point.y) > 18);
      if (isFree) placed.push(point);
      return isFree;
    });
  }

  /** @param {import("./sky.js").Scene} scene @param {string} selected address of the aircraft that is looked at */
  show(scene, selected) {
    this.aircraft = scene.aircraft;
    this.alerted = new Set(scene.alerts.filter(isCritical).map((alert) => alert.icao24));
    this.selected = selected;
    this.draw();
  }

  draw() {
    if (!this.overlay) return;
    const { aircraft, alerted, selected } = this;
    const now = performance.now();
    if (now - this.trailsAt > 900) {
      this.trailsAt = now;
      const tolerance = HALF_PIXEL_DEG / 2 ** this.map.getZoom();
      // Segments: a path layer with new data costs who draws in software six times as much as these.
      const parts = aircraft.filter((one) => one.path.length > 1 && one.phase !== "GROUND").flatMap((one) => {
        const path = thinned(one.path, tolerance), isSelected = one.icao24 === selected;
        const drawn = { colour: rgb(colour(one.phase), isSelected ? 255 : 110), width: isSelected ? 2.5 : 1.5 };
        return path.slice(1).map((to, i) => ({ ...drawn, from: path[i], to }));
      });
      this.trails = new deck.LineLayer({
        id: "trails", data: parts, widthUnits: "pixels",
        getSourcePosition: (/** @type {any} */ part) => part.from, getTargetPosition: (/** @type {any} */ part) => part.to,
        getColor: (/** @type {any} */ part) => part.colour, getWidth: (/** @type {any} */ part) => part.width,
      });
    }
    const position = (/** @type {Aircraft} */ one) => [one.lon, one.lat];
    const zoom = this.map.getZoom();
    const marked = aircraft.filter((one) => one.icao24 === selected || alerted.has(one.icao24));
    const named = zoom > 8.2 ? aircraft : aircraft.filter((one) => one.icao24 === selected || alerted.has(one.icao24));
    this.overlay.setProps({
      layers: [
        ...this.still,
        this.airportNames?.(),
        this.trails,
        new deck.ScatterplotLayer({
          id: "marks", data: marked, getPosition: position, getRadius: 15, radiusUnits: "pixels",
          filled: false, stroked: true, getLineWidth: 2, lineWidthUnits: "pixels",
          getLineColor: (/** @type {Aircraft} */ one) =>
            rgb(css(alerted.has(one.icao24) ? "--critical" : "--accent")),
        }),
        new deck.IconLayer({
          id: "aircraft", data: aircraft, pickable: true, getPosition: position,
          iconAtlas: this.icon, iconMapping: { arrow: { x: 0, y: 0, width: 64, height: 64, mask: true } },
          getIcon: () => "arrow",
          getSize: (/** @type {Aircraft} */ one) => (one.phase === "GROUND" ? 14 : 22),
          getAngle: (/** @type {Aircraft} */ one) => -(one.direction ?? 0),
          getColor: (/** @type {Aircraft} */ one) => rgb(colour(one.phase)),
        }),
        new deck.TextLayer({
          id: "names", data: named, getPosition: position, getText: (/** @type {Aircraft} */ one) => one.callsign ?? one.icao24,
          getSize: 11, getColor: rgb(css("--text")), getPixelOffset: [14, 0], getTextAnchor: "start",
          fontFamily: "ui-monospace, monospace",
        }),
      ],
    });
    this.drawn = { count: aircraft.length, newest: aircraft.reduce((most, one) => Math.max(most, one.heardAt), 0), theme: theme() };
  }

  /** What the canvas shows stands in the document too: for tests, and for who measures. */
  rendered() {
    this.frames += 1;
    const { dataset } = at("map");
    dataset.frames = String(this.frames);
    if (!this.drawn) return;
    dataset.aircraft = String(this.drawn.count);
    if (this.drawn.newest !== this.newest) {
      this.newest = this.drawn.newest;
      dataset.newest = new Date(this.newest).toISOString();
      dataset.drawnAt = new Date().toISOString();
    }
  }

  /** @param {Aircraft} one */
  goTo(one) {
    const [lon, lat] = [one.lon, one.lat];
    if (!this.map.getBounds().contains([lon, lat])) this.map.easeTo({ center: [lon, lat], duration: 400 });
  }
}
