// What the analysis page shows: each card with its rows, its sentence, its picture, and why it may be empty.

import * as charts from "./analysis_charts.js";
import * as tables from "./analysis_tables.js";

/** @typedef {import("./data.js").Row} Row */
/** @typedef {{state: Row | undefined, changes: Row[], filters: Record<string, string>}} Context */
/**
 * @typedef {{id: string, section: "sky" | "airport" | "model", title: string, says: string, path: string,
 *   asked: string, docs: string, empty: string | ((context: Context) => string), isWide?: boolean, isDouble?: boolean,
 *   rows?: (rows: Row[]) => Row[], option?: (rows: Row[], context: Context) => any,
 *   table?: (rows: Row[], context: Context) => HTMLElement}} Card
 * path: below /v1/analysis, or below /v1 where it begins with a slash; asked: by which of the filters; docs: the table in the dbt docs.
 */

const NO_POSITION = "No matching positions are stored in these hours.";
const NOT_MOVED = "No matching movements are stored in this period.";

/** Why a challenger's card is empty. @param {Context} context */
const noChallenger = ({ state }) => {
  if (!state) return "No challenger has been trained for this ring yet.";
  if (!state.challenger_version) return `No challenger has been trained yet: ${state.untrained_reason ?? "the newest training run produced none"}.`;
  return "The newest challenger has not been measured yet.";
};
const noPrediction = "No predicted landing in this period has an outcome yet.";
/** Why a card of monitoring is empty, where there is a champion. @param {string} otherwise */
const unwatched = (otherwise) => (/** @type {Context} */ { state }) =>
  state?.champion_version ? otherwise : "There is no champion to monitor yet.";

/** @type {Card[]} */
export const CARDS = [
  {
    id: "altitudes", section: "sky", title: "Altitude", path: "altitudes", asked: "sky", docs: "model.skyops.int_positions__sampled_1m",
    says: "Altitudes of aircraft in the air, in steps of 1,000 ft; the line is the smoothed density.",
    empty: NO_POSITION, option: charts.altitudes,
  },
  {
    id: "phases", section: "sky", title: "Phases of flight", path: "phases", asked: "sky", docs: "model.skyops.phase_counts_1m",
    says: "Minutes in which aircraft were heard, by phase of flight.",
    empty: NO_POSITION, option: charts.phases,
  },
  {
    id: "countries", section: "sky", title: "Speed by State of registration", path: "countries", asked: "sky", docs: "model.skyops.country_hourly",
    says: "Mean speed over ground in the air, of the twelve States that were heard most.",
    empty: NO_POSITION, option: charts.countries,
  },
  {
    id: "correlations", section: "sky", title: "Correlation", path: "correlations", asked: "sky", docs: "model.skyops.int_positions__sampled_1m",
    says: "Correlation of altitude, speed, climb and position in the air: 1 is fully together, -1 fully opposed, 0 none.",
    empty: NO_POSITION, option: charts.correlations,
  },
  {
    id: "traffic", section: "sky", title: "Traffic", path: "traffic", asked: "traffic", docs: "model.skyops.phase_counts_1m", isDouble: true,
    says: "Number of aircraft heard, and number of these on the ground.",
    empty: NO_POSITION, option: charts.traffic,
  },
  {
    id: "runways", section: "airport", title: "Landings by runway", path: "runways", asked: "airport", docs: "model.skyops.fct_movements", isWide: true,
    says: "Landings by runway over time; a dashed line marks a change of the landing direction.",
    empty: NOT_MOVED, rows: (rows) => rows.filter((row) => row.landing_count), option: charts.runways,
  },
  {
    id: "runway-sums", section: "airport", title: "Runway use", path: "runways", asked: "airport", docs: "model.skyops.fct_movements",
    says: "Landings and take-offs by runway in the whole period.",
    empty: NOT_MOVED, option: charts.runwaySums,
  },
  {
    id: "changes", section: "airport", title: "Changes of the landing direction", path: "runway-changes", asked: "changes",
    docs: "model.skyops.runway_configuration_changes",
    says: "Times at which the landing direction changed; two landings in agreement establish a direction.",
    empty: "The landing direction did not change in this period.", table: tables.changes,
  },
  {
    id: "asma", section: "airport", title: "Additional ASMA time by month", path: "asma", asked: "asma", docs: "model.skyops.asma_monthly",
    says: "Minutes between ring and runway beyond the moving reference: the unimpeded time of the same sector and runway over the last twelve months. Months of the year before stand beside the period's.",
    empty: "No arrival in these months has a reference: it needs enough arrivals with the same sector and runway.",
    rows: (rows) => rows.filter((row) => row.mean_additional_min != null), option: charts.asma,
  },
  {
    id: "asma-fixed", section: "airport", title: "Additional ASMA time by month, fixed reference", path: "/asma/fixed", asked: "fixed", docs: "model.skyops.asma_fixed_monthly",
    says: "As EUROCONTROL publishes it: minutes beyond the 20th percentile of a reference year for the same aircraft class, sector and runway, night landings included (40 NM). Only the airport and period filters apply.",
    empty: "No arrival in these months has a reference: it needs enough arrivals in the reference year.",
    rows: (rows) => rows.filter((row) => row.additional_min != null), option: charts.asmaFixed,
  },
  {
    id: "taxi", section: "airport", title: "On the ground", path: "/taxi/periods", asked: "taxi", docs: "model.skyops.taxi_daily", isWide: true,
    says: "Minutes between stand and runway, how many of them beyond the unimpeded time of that runway, and seconds on the runway; means of the movements that were heard well enough, whose share stands beside them. By airport and period alone.",
    empty: NOT_MOVED, table: tables.taxi,
  },
  {
    id: "holdings", section: "airport", title: "Holdings", path: "holdings", asked: "airport", docs: "model.skyops.fct_holdings",
    says: "Holdings by start time, and their mean duration.",
    empty: "No holdings were found in this period.", option: charts.holdings,
  },
  {
    id: "go-arounds", section: "airport", title: "Go-arounds", path: "go-arounds", asked: "airport", docs: "model.skyops.fct_movements",
    says: "Discontinued approaches, with the landings in the same time.",
    empty: "No go-arounds were found in this period.",
    rows: (rows) => (rows.some((row) => row.go_around_count) ? rows : []), option: charts.goArounds,
  },
  {
    id: "scores", section: "model", title: "Champion against challenger", path: "model/scores", asked: "model", docs: "", isWide: true,
    says: "All candidates on the same test arrivals. Skill is 1 - MAE / MAE of the best baseline, with its 95 % interval.",
    empty: noChallenger, table: tables.scores,
  },
  {
    id: "skill", section: "model", title: "Skill and gain", path: "model/scores", asked: "model", docs: "",
    says: "Skill against the best baseline and gain over the champion, with 95 % intervals; above 0 is better.",
    empty: noChallenger, rows: charts.compared, option: charts.skill,
  },
  {
    id: "within", section: "model", title: "Distribution of the test errors", path: "model/scores", asked: "model", docs: "",
    says: "Share of the same test arrivals that each candidate predicts within one and two minutes.",
    empty: noChallenger, rows: (rows) => rows.filter((row) => row.within_1min_share != null), option: charts.within,
  },
  {
    id: "errors", section: "model", title: "Errors since then", path: "model/errors", asked: "predictions", docs: "source.skyops.ml.predictions",
    says: "Predicted minus actual landing time, for the present predictor and for the baseline on the same crossings.",
    empty: noPrediction, option: charts.errors,
  },
  {
    id: "residuals", section: "model", title: "Residuals", path: "model/residuals", asked: "predictions", docs: "source.skyops.ml.predictions",
    says: "Median error by what was predicted; eight of ten errors lie in the band.",
    empty: noPrediction, option: charts.residuals,
  },
  {
    id: "importance", section: "model", title: "Feature importance", path: "model/importance", asked: "model", docs: "model.skyops.arrival_features",
    says: "Rise of the challenger's MAE when a feature group is shuffled.",
    empty: noChallenger, option: charts.importance,
  },
  {
    id: "latency", section: "model", title: "Latency", path: "model/latency", asked: "model", docs: "",
    says: "Milliseconds per prediction for the last thirty challengers, each in a fresh process.",
    empty: noChallenger, option: charts.latency,
  },
  {
    id: "lights", section: "model", title: "The gatekeeper's lights", path: "model/lights", asked: "model", docs: "", isWide: true,
    says: "The rules for promoting the newest challenger, and its results.",
    empty: (context) => (context.state ? "The gatekeeper has not decided on the newest training run yet." : noChallenger(context)),
    table: tables.lights,
  },
  {
    id: "monitoring", section: "model", title: "Skill and drift", path: "model/monitoring", asked: "model", docs: "",
    says: "Results of each monitoring run: skill in its window, and the share of feature groups that drifted.",
    empty: unwatched("Monitoring has measured neither skill nor drift of this model yet."),
    rows: (rows) => (rows.some((row) => row.skill != null || row.drift_score != null) ? rows : []), option: charts.monitoring,
  },
  {
    id: "drifted", section: "model", title: "Drifted features", path: "model/drifted", asked: "model", docs: "model.skyops.arrival_features",
    says: "Features beyond their threshold in the latest monitoring run; 1 is the threshold.",
    empty: unwatched("No feature was beyond its threshold in the latest monitoring run."), option: charts.drifted,
  },
];
