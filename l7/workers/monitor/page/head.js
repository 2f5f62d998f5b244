// The head of the page: what l7 this is, its totals, what needs attention, and the way to the sections.

import { attribute, element, Keyed, text } from "./dom.js";
import { ago, clock, count, lasted, many, rate } from "./format.js";
import { highest, Plot } from "./plot.js";
import { remarkable, troubled } from "./servers.js";

const find = (id) => document.getElementById(id);
export const SOON = 14; // days: a certificate that lives no longer is soon at its end

const TOTALS = [
  { key: "rate", title: "Requests", unit: "/s", show: rate, top: (most) => `${rate(most)} /s`, plot: true },
  { key: "errors", title: "Errors", unit: "/s", show: rate, top: (most) => `${rate(most)} /s`, plot: true, bad: true },
  { key: "p50", title: "Half are done in", unit: "p50", show: lasted, top: lasted, plot: true },
  { key: "p99", title: "99 of 100 in", unit: "p99", show: lasted, top: lasted, plot: true },
  { key: "in-flight", title: "In flight", unit: "", show: count, plot: false },
];

/** The line below the name: generation, file, since when. */
function facts(overview) {
  const { configuration: had = {}, state, started, at, pid } = overview;
  const parts = [state, had.generation != null ? `generation ${had.generation}` : "", had.file ?? "no file"];
  if (had["on-disk"] === "same") parts.push("as on disk");
  if (overview.version) parts.unshift(`version ${overview.version}`);
  if (started) parts.push(`up for ${ago(at - started)}`);
  if (pid) parts.push(`pid ${pid}`);
  return parts.filter(Boolean).join(" · ");
}

function one(total) {
  const value = element("span", { class: "value" });
  const node = element("div", { class: total.key });
  node.append(element("dt", {}, total.title), element("dd", {}, value, element("span", { class: "unit" }, total.unit)));
  const plot = total.plot ? new Plot(300, `${total.title}, the last minutes`) : null;
  const most = element("span", { class: "most" });
  if (plot) node.append(element("dd", { class: "drawing" }, plot.node, most));
  else node.append(element("dd", { class: "below" }, most));
  const update = (totals, overview) => {
    text(value, total.show(totals[total.key]));
    if (plot) {
      const samples = totals.plot?.[total.key];
      plot.update(samples);
      const peak = highest(samples);
      text(most, peak ? `most ${total.top(peak)}` : "");
    } else {
      const { connections: { open, limit } = {} } = overview;
      text(most, open == null ? "" : `${many(open, "connection")}${limit ? ` of ${count(limit)}` : ""}`);
    }
    attribute(node, "data-tone", total.bad && totals[total.key] > 0 ? "bad" : null);
  };
  return { node, update };
}

/** What a person should look at, worst first: {key, tone, words, href}. */
export function attention(overview) {
  const found = [];
  const add = (key, tone, words, href) => found.push({ key, tone, words, href });
  const { configuration: had = {}, reloads = [], certificates = [], routes = [] } = overview;
  const dark = routes.filter((route) => route.servers > 0 && route.up === 0);
  if (dark.length) {
    const names = dark.slice(0, 3).map((route) => route.route).join(", ");
    add("dark", "bad", `No server is up for ${names}${dark.length > 3 ? ` and ${dark.length - 3} more` : ""}`, "#servers");
  }
  const out = (overview.servers ?? []).filter(troubled).length;
  if (out) add("servers", "warn", `${many(out, "server")} not up`, "#servers");
  const [one, ...others] = (overview.servers ?? []).filter(remarkable);
  if (one) {
    const more = others.length ? `; ${many(others.length, "other")} ${others.length === 1 ? "is" : "are"} up with a remark, too` : "";
    add("remarks", "warn", `${one.server} is up, but: ${one.why}${more}`, "#servers");
  }
  if (had["on-disk"] === "invalid") add("disk", "bad", `The file on disk is invalid: ${had.problems?.[0] ?? ""}`, "#reloads");
  else if (had["on-disk"] === "differs") add("disk", "note", `The file on disk differs: ${many((had.changes ?? []).length, "change")} not loaded`, "#reloads");
  const last = reloads.at(-1);
  if (last && !last.ok) add("reload", "bad", `The last reload was refused, ${clock(last.at, overview.at)}`, "#reloads");
  const ending = certificates.filter((certificate) => certificate.days_left < SOON);
  for (const certificate of ending.slice(0, 3)) {
    const left = certificate.days_left;
    const name = certificate.names?.[0] ?? "no name";
    const words = left < 0 ? `The certificate of ${name} has expired` : `The certificate of ${name} ends in ${many(Math.floor(left), "day")}`;
    add(`certificate ${name}`, left < 3 ? "bad" : "warn", words, "#certificates");
  }
  const monitor = overview.monitor?.state;
  if (monitor && monitor !== "ready") add("monitor", "warn", `The monitor process is ${monitor}`, "#workers");
  return found;
}

const SECTIONS = [
  ["routes", "Routes", (overview) => (overview.routes ?? []).length + (overview["routes-left-out"] ?? 0)],
  ["servers", "Servers", (overview) => (overview.servers ?? []).length + (overview["servers-left-out"] ?? 0)],
  ["requests", "Failed requests", (overview) => (overview.failures ?? []).length],
  ["workers", "Workers", (overview) => (overview.workers ?? []).length],
  ["reloads", "Reloads", (overview) => (overview.reloads ?? []).length],
  ["certificates", "Certificates", (overview) => (overview.certificates ?? []).length],
];

export class Head {
  constructor() {
    this.totals = TOTALS.map(one);
    find("totals").append(...this.totals.map((total) => total.node));
    this.attention = new Keyed(find("attention"), () => {
      const link = element("a", {});
      const node = element("li", {}, link);
      const update = (item) => {
        attribute(node, "data-tone", item.tone);
        attribute(link, "href", item.href);
        text(link, item.words);
      };
      return { node, update };
    });
    this.sections = SECTIONS.map(([id, title, number]) => {
      const tally = element("span", { class: "tally" });
      find("sections").append(element("li", {}, element("a", { href: `#${id}` }, `${title} `, tally)));
      return { tally, number };
    });
    text(find("where"), location.host);
  }

  update(overview) {
    text(find("facts"), facts(overview));
    for (const total of this.totals) total.update(overview.totals ?? {}, overview);
    this.attention.show(attention(overview), (item) => item.key);
    for (const { tally, number } of this.sections) text(tally, count(number(overview)));
    const trouble = (overview.servers ?? []).filter((server) => troubled(server) || remarkable(server)).length;
    const title = `${trouble ? `(${trouble}) ` : ""}l7 ${location.host}`;
    if (document.title !== title) document.title = title;
    const left = [];
    if (overview["routes-left-out"]) left.push(`${many(overview["routes-left-out"], "route")} with less traffic left out`);
    if (overview["servers-left-out"]) left.push(`${many(overview["servers-left-out"], "server")} left out`);
    text(find("foot"), [`Times are those of this browser. Plots show the last ${ago((overview.samples ?? 150) * (overview.interval ?? 2))}.`, ...left].join(" "));
  }
}
