// Draws deploy/grafana/groupcast.json with the data of a Prometheus, without Grafana: panels by their places, queries, legends,
// units and thresholds. Arguments: Prometheus' address, the browser, the folder for the picture, and the scrape interval in seconds.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [prometheus, executablePath, folder, scrape] = process.argv.slice(2);
const dashboard = JSON.parse(await readFile(new URL("../../deploy/grafana/groupcast.json", import.meta.url)));
const N_POINTS = 240;

async function ask(path) {
  const answer = await (await fetch(`${prometheus}/api/v1/${path}`)).json();
  if (answer.status !== "success") throw new Error(`${path}: ${JSON.stringify(answer)}`);
  return answer.data;
}

/** The time that the data covers, an hour at most, as the board asks for. */
async function range() {
  const to = Date.now() / 1000;
  const { result } = await ask(`query?query=${encodeURIComponent("min_over_time(timestamp(count(up))[1h:5s])")}`);
  const from = Math.max(Number(result[0].value[1]), to - 3600);
  const step = Math.max(Number(scrape), Math.ceil((to - from) / N_POINTS));
  return { from, to, step };
}

/** What Grafana fills in for its variables where all jobs and instances are chosen. */
function filled(expression, step) {
  const rateInterval = Math.max(step + Number(scrape), 4 * Number(scrape));
  return expression.replaceAll("$__rate_interval", `${rateInterval}s`).replaceAll(/\$(job|instance)/g, ".*");
}

function legend(format, labels) {
  if (!format) return "";
  return format.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? "").trim();
}

/** Each query's series, on one row of times; null where there was nothing. */
async function series(panel, { from, to, step }) {
  const times = [];
  for (let time = from; time <= to; time += step) times.push(time);
  const found = [];
  for (const target of panel.targets) {
    const query = encodeURIComponent(filled(target.expr, step));
    const { result } = await ask(`query_range?query=${query}&start=${from}&end=${to}&step=${step}`);
    for (const { metric, values } of result) {
      const byTime = new Map(values.map(([time, value]) => [Math.round((time - from) / step), Number(value)]));
      const points = times.map((_, index) => (Number.isFinite(byTime.get(index)) ? byTime.get(index) : null));
      found.push({ name: legend(target.legendFormat, metric), points });
    }
  }
  return { times, found };
}

const when = await range();
const panels = [];
for (const panel of dashboard.panels) {
  panels.push({ panel, ...(panel.targets ? await series(panel, when) : {}) });
}

/** Runs in the page: lays the panels out and draws them. */
function draw({ panels, when, width }) {
  const [COLUMN, ROW, GAP] = [width / 24, 38, 8];
  const COLORS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#fade2a", "#ffa6b0", "#96d98d", "#c0d8ff", "#e0b400"];
  const THRESHOLDS = { green: "#299c46", orange: "#d9730d", red: "#c4162a" };
  const scaled = (value, units, base) => {
    let index = 0;
    while (Math.abs(value) >= base && index < units.length - 1) [value, index] = [value / base, index + 1];
    return `${Number(value.toPrecision(3))}${units[index]}`;
  };
  const written = (value, unit, decimals) => {
    if (value === null || value === undefined) return "–";
    if (decimals !== undefined) value = Number(value.toFixed(decimals));
    if (unit === "s" && value !== 0 && Math.abs(value) < 1) return scaled(value * 1000, [" ms"], Infinity);
    if (unit === "s" && Math.abs(value) >= 120) return scaled(value / 60, [" min", " hours"], 60);
    if (unit === "bytes") return scaled(value, [" B", " KiB", " MiB", " GiB"], 1024);
    return scaled(value, ["", " K", " Mil"], 1000) + ({ s: " s", cps: " c/s" }[unit] ?? "");
  };
  const element = (parent, name, className, text) => {
    const made = parent.appendChild(document.createElement(name));
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const last = (points) => points.findLast((value) => value !== null) ?? null;
  const highest = (points) => points.reduce((most, value) => (value !== null && (most === null || value > most) ? value : most), null);

  function stat(box, { panel, times, found }) {
    const { unit, decimals, thresholds, mappings } = panel.fieldConfig.defaults;
    const points = found[0]?.points ?? [];
    const value = last(points);
    const step = thresholds.steps.findLast((step) => step.value === null || value >= step.value);
    box.style.background = THRESHOLDS[step.color];
    const mapped = mappings?.[0]?.options[String(value)]?.text;
    element(box, "div", "value", mapped ?? written(value, unit, decimals));
    plot(box, { times, lines: [points], colors: ["#ffffff88"], filled: ["#ffffff22"], bare: true, height: 44, width: box.clientWidth });
  }

  function chart(box, { panel, times, found }) {
    const { unit, decimals, custom } = panel.fieldConfig.defaults;
    const isLog = custom.scaleDistribution?.type === "log";
    const isStacked = custom.stacking.mode === "normal";
    const color = (index) => COLORS[index % COLORS.length];
    let lines = found.map(({ points }) => points);
    if (isStacked) {
      const sum = new Array(times.length).fill(0);
      lines = lines.map((points) => points.map((value, index) => (value === null ? null : (sum[index] += value))));
    }
    const body = element(box, "div", "body");
    const place = element(body, "div", "plot");
    const table = element(body, "table");
    const head = element(table, "tr");
    for (const title of ["", "last", "max"]) element(head, "th", "", title);
    // The largest first, as many as there is room for.
    const order = found.map((_, index) => index).sort((a, b) => (highest(found[b].points) ?? 0) - (highest(found[a].points) ?? 0));
    const room = Math.floor((box.clientHeight - 50) / 17);
    for (const index of order.slice(0, room)) {
      const row = element(table, "tr");
      const name = element(row, "td");
      element(name, "i").style.background = color(index);
      name.append(found[index].name);
      element(row, "td", "", written(last(found[index].points), unit, decimals));
      element(row, "td", "", written(highest(found[index].points), unit, decimals));
    }
    if (order.length > room) element(element(table, "tr"), "td", "more", `and ${order.length - room} more`);
    if (!found.length) {
      table.remove();
      element(place, "p", "none", panel.fieldConfig.defaults.noValue ?? "No data");
      return;
    }
    // What is stacked is drawn from the top down, so that each covers what is below it.
    const drawn = lines.map((_, index) => index);
    if (isStacked) drawn.reverse();
    const opacity = Math.round(((isStacked ? 90 : custom.fillOpacity) / 100) * 255).toString(16).padStart(2, "0");
    plot(place, {
      times, unit, isLog, decimals, height: box.clientHeight - 44, width: place.clientWidth,
      lines: drawn.map((index) => lines[index]), colors: drawn.map(color), filled: drawn.map((index) => color(index) + opacity),
    });
  }

  function plot(place, { times, lines, colors, filled, bare, unit, isLog, decimals, width, height }) {
    const axis = { stroke: "#9fa7b3", grid: { stroke: "#2c3235", width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
    const yAxis = { ...axis, size: 62, values: (_, splits) => splits.map((value) => (value === null ? "" : written(value, unit, decimals))) };
    const clock = (_, splits) => splits.map((time) => new Date(time * 1000).toISOString().slice(11, 16));
    new uPlot({
      width, height, legend: { show: false }, cursor: { show: false },
      padding: bare ? [2, 0, 0, 0] : undefined,
      scales: { x: { min: when.from, max: when.to }, y: isLog ? { distr: 3 } : { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
      axes: bare ? [{ show: false }, { show: false }] : [{ ...axis, values: clock }, yAxis],
      series: [{}, ...lines.map((_, index) => ({ stroke: colors[index], fill: filled[index], width: 1.4, points: { show: false } }))],
    }, [times, ...lines.map((points) => (isLog ? points.map((value) => (value > 0 ? value : null)) : points))], place);
  }

  let bottom = 0;
  for (const { panel, ...data } of panels) {
    const { x, y, w, h } = panel.gridPos;
    const box = element(document.body, "section", panel.type);
    Object.assign(box.style, { left: `${x * COLUMN + GAP}px`, top: `${y * ROW + 60}px`, width: `${w * COLUMN - GAP}px`, height: `${h * ROW - GAP}px` });
    element(box, "h2", "", panel.title);
    if (panel.type === "stat") stat(box, { panel, ...data });
    if (panel.type === "timeseries") chart(box, { panel, ...data });
    bottom = Math.max(bottom, (y + h) * ROW + 60);
  }
  element(document.body, "footer", "", "Drawn from deploy/grafana/groupcast.json without Grafana, with the data of a test run in which everything is done to it that an alert is for.").style.top = `${bottom + 4}px`;
  return bottom + 40;
}

const STYLE = `
  body { margin: 0; background: #111217; color: #d8d9da; font: 12px sans-serif; }
  h1 { position: absolute; left: 12px; top: 4px; font-size: 20px; font-weight: 500; }
  section { position: absolute; box-sizing: border-box; background: #181b1f; border: 1px solid #25282d; border-radius: 3px; overflow: hidden; }
  section.row { background: none; border: none; }
  h2 { margin: 6px 10px; font-size: 13px; font-weight: 500; }
  section.row h2 { font-size: 15px; margin-left: 2px; }
  .value { position: absolute; left: 0; right: 0; top: 34px; text-align: center; font-size: 34px; color: #fff; }
  .stat .uplot { position: absolute; bottom: 0; left: 0; }
  .body { display: flex; height: calc(100% - 30px); }
  .plot { flex: 1; min-width: 0; }
  table { align-self: flex-start; margin-right: 8px; border-spacing: 6px 1px; color: #b3b6bb; max-width: 46%; font-size: 11px; }
  td, th { text-align: right; white-space: nowrap; font-weight: 400; }
  td:first-child { text-align: left; max-width: 190px; overflow: hidden; text-overflow: ellipsis; }
  td i { display: inline-block; width: 12px; height: 3px; margin: 0 5px 3px 0; }
  .none, .more { color: #70757d; } .none { text-align: center; padding-top: 80px; }
  footer { position: absolute; left: 12px; color: #9fa7b3; }
`;

// Chromium's sandbox does not work for root, as whom containers run tests.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--force-color-profile=srgb"] });
const width = 1440;
const page = await browser.newPage({ viewport: { width, height: 900 } });
page.on("pageerror", (error) => { throw error; });
await page.setContent(`<!doctype html><title>board</title><h1>${dashboard.title}</h1>`);
const plots = createRequire(import.meta.url).resolve("uplot").replace(/[^/]*$/, "");
await page.addStyleTag({ path: `${plots}uPlot.min.css` });
await page.addStyleTag({ content: STYLE });
await page.addScriptTag({ path: `${plots}uPlot.iife.min.js` });
const height = await page.evaluate(draw, { panels, when, width: width - 8 });
await page.setViewportSize({ width, height });
await page.screenshot({ path: `${folder}/board.png` });
await browser.close();
