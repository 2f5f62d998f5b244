// The routes: how much comes, how much goes wrong, how long it takes.

import { attribute, element, text } from "./dom.js";
import { count, lasted, rate } from "./format.js";
import { Plot } from "./plot.js";
import { requestsLink } from "./requests.js";
import { LiveTable } from "./table.js";

const UNROUTED = "-";
const dark = (route) => Number(route.servers > 0 && route.up === 0);
const name = (route) => (route.route === UNROUTED ? "no route" : route.route);

/** A number column. */
export function number(key, title, show, more = {}) {
  return { key, title, kind: "number", value: (item) => item[key], show: (item) => show(item[key]), ...more };
}

/** The column with the plot of requests, and of errors in it. */
export function plotted(title = "Last minutes") {
  return {
    key: "plot", title, kind: "drawing", hint: "requests a second, and errors in red",
    make: () => {
      const plot = new Plot(240);
      return { node: plot.node, update: (item) => plot.update(item.plot?.rate, item.plot?.errors, 1) };
    },
  };
}

/** The name of a route or a server, which leads to its requests. */
export function named(kind, key, show) {
  const link = element("a", { class: "plain", title: "its last requests" });
  const update = (item) => {
    attribute(link, "href", requestsLink(kind, key(item)));
    text(link, show(item));
  };
  return { node: link, update };
}

/** How a figure that should be zero is coloured. */
export const wrong = (key) => (item) => (item[key] > 0 ? "bad" : "quiet");
/** A time that is not known is quiet, as a figure that is zero. */
export const unknown = (key) => (item) => (item[key] == null ? "quiet" : null);
export const idle = (key) => (item) => (item[key] ? null : "quiet");

const COLUMNS = [
  { key: "route", title: "Route", kind: "name", head: true, value: name, make: () => named("route", (item) => item.route, name) },
  plotted(),
  number("rate", "Requests /s", rate, { tone: idle("rate") }),
  number("errors", "Errors /s", rate, { hint: "answers with 5xx", tone: wrong("errors") }),
  number("refused", "Refused /s", rate, { hint: "by a rule: login, allow, deny, rate-limit, limits", tone: (item) => (item.refused > 0 ? "warn" : "quiet") }),
  number("p50", "p50", lasted, { tone: unknown("p50"), hint: "half of the requests are done in this time" }),
  number("p99", "p99", lasted, { tone: unknown("p99"), hint: "99 of 100 requests are done in this time" }),
  number("in-flight", "In flight", count, { tone: idle("in-flight") }),
  number("queued", "Queue", count, { hint: "requests that wait for a server with room", tone: (item) => (item.queued > 0 ? "warn" : "quiet") }),
  {
    key: "servers", title: "Servers up", kind: "number", value: (item) => item.up - item.servers,
    falling: false,
    show: (item) => (item.servers ? `${item.up} of ${item.servers}` : "–"),
    tone: (item) => (!item.servers ? "quiet" : item.up === 0 ? "bad" : item.up < item.servers ? "warn" : null),
  },
];

export class Routes {
  constructor(section) {
    this.table = new LiveTable(section, {
      name: "routes", caption: "Routes with their traffic; those with errors first, then the busiest", columns: COLUMNS, few: 15, noun: "route",
      none: "There is no route.", key: (item) => item.route, words: name,
      order: (items) => [...items].sort((a, b) => b.errors - a.errors || dark(b) - dark(a) || b.rate - a.rate || b.requests - a.requests || (name(a) < name(b) ? -1 : 1)),
      filter: { label: "Filter routes", id: "filter-routes" },
    });
  }

  update(overview) {
    this.table.update(overview.routes ?? []);
  }
}
