// The servers: which are up, and why and since when others are not.

import { attribute, element, text } from "./dom.js";
import { ago, clock, count, lasted, rate } from "./format.js";
import { idle, named, number, plotted, unknown, wrong } from "./routes.js";
import { LiveTable } from "./table.js";

// The worst first. What stands here is the state as `l7 status` has it.
const RANK = { down: 0, ejected: 1, maint: 3, drain: 4, up: 9 };
const TONE = { down: "bad", ejected: "bad", maint: "warn", drain: "warn", up: "good" };
const LATELY = 900; // seconds for which it is told that a server has come back

/** Whether a server is up, and still something is to be said of it: the only one of a route is up, and takes no connections. */
export const remarkable = (server) => server.state === "up" && Boolean(server.why);
const rank = (server) => (remarkable(server) ? 2 : (RANK[server.state] ?? 5));

/** Whether a server is not up. */
export const troubled = (server) => server.state !== "up";

const address = (server) => server.server + (server.address && server.address !== server.server ? ` (${server.address})` : "");

/** A shape and a word for a state: neither needs colour. */
export function mark() {
  const shape = element("span", { class: "mark", "aria-hidden": "true" });
  const word = element("span", {});
  const node = element("span", { class: "state" }, shape, word);
  const update = (state, tone) => {
    attribute(node, "data-tone", tone);
    attribute(shape, "data-state", state);
    text(word, state);
  };
  return { node, update };
}

function stateCell() {
  const made = mark();
  return { node: made.node, update: (server) => made.update(server.state, remarkable(server) ? "warn" : (TONE[server.state] ?? "warn")) };
}

function whoCell() {
  const main = named("server", (server) => server.server, address);
  const notes = element("small", {});
  const node = element("span", { class: "who" }, main.node, notes);
  const update = (server) => {
    main.update(server);
    text(notes, server.backup ? "backup" : "");
  };
  return { node, update };
}

/** Since when, why, and what it said last. */
function whyCell(now) {
  const since = element("span", { class: "since" });
  const why = element("span", { class: "text" });
  const last = element("small", { class: "text" });
  const node = element("span", { class: "why" }, since, why, last);
  const update = (server) => {
    const at = now();
    const known = server.since != null && (troubled(server) || at - server.since < LATELY);
    text(since, known ? `since ${clock(server.since, at)}, ${ago(at - server.since)}` : "");
    text(why, server.why || (troubled(server) ? (server["last-change"]?.why ?? "") : ""));
    const error = server["last-error"];
    text(last, error ? `last error: ${error.what}${error.ago == null ? "" : `, ${ago(error.ago)} ago`}` : "");
  };
  return { node, update };
}

export class Servers {
  constructor(section) {
    this.at = 0;
    const columns = [
      { key: "state", title: "State", kind: "state-cell", value: rank, make: stateCell },
      { key: "server", title: "Server", kind: "name", head: true, value: address, make: whoCell },
      { key: "backend", title: "Route", kind: "name", value: (item) => item.backend, show: (item) => item.backend },
      { key: "why", title: "Why, and since when", kind: "wide", value: (item) => item.since ?? null, falling: true, make: () => whyCell(() => this.at) },
      plotted(),
      number("rate", "Requests /s", rate, { tone: idle("rate") }),
      number("errors", "Errors /s", rate, { hint: "failures, and answers with 5xx", tone: wrong("errors") }),
      number("p50", "First byte p50", lasted, { tone: unknown("p50"), hint: "half of the answers begin in this time" }),
      number("p99", "p99", lasted, { tone: unknown("p99"), hint: "99 of 100 answers begin in this time", label: "First byte p99" }),
      number("in-flight", "In flight", count, { tone: idle("in-flight") }),
      number("weight", "Weight", count, { tone: (item) => (item.weight === 1 ? "quiet" : null) }),
    ];
    this.table = new LiveTable(section, {
      name: "servers", caption: "Servers; those that are not up first", columns, few: 15, noun: "server",
      none: "There is no server.", key: (item) => [item.backend, item.server, item.address].join("\n"),
      words: (item) => [item.backend, address(item), item.state, item.why].join(" "),
      rowTone: (item) => (troubled(item) ? (TONE[item.state] ?? "warn") : remarkable(item) ? "note" : null),
      order: (items) => items.map((item, at) => ({ item, at })).sort((a, b) => rank(a.item) - rank(b.item) || a.at - b.at).map((one) => one.item),
      filter: { label: "Filter servers", id: "filter-servers" },
    });
  }

  update(overview) {
    this.at = overview.at;
    this.table.update(overview.servers ?? []);
  }
}
