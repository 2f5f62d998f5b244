// The last requests: those that failed, or others that are asked for. Each is a link to its story, which can be copied.

import { attribute, element, held, text } from "./dom.js";
import { clock, escaped, lasted } from "./format.js";
import { ask } from "./poll.js";
import { LiveTable } from "./table.js";

const MOST = 100;
const CHOICES = [
  // value, words, the query for it: those that failed are in the overview
  ["failed", "that failed", "failed=1"],
  ["all", "all", ""],
  ["5xx", "answered 5xx", "status=5xx"],
  ["4xx", "answered 4xx", "status=4xx"],
  ["tardy", "slower than 100 ms", "slower=100ms"],
  ["slow", "slower than 1 s", "slower=1s"],
];
const OF = /^#of-(route|server)=(.*)$/s;

/** What is in the address for the story of a request, and for the requests of a route or of a server. */
export const storyLink = (id) => `#request=${escaped(id)}`;
export const requestsLink = (kind, name) => `#of-${kind}=${escaped(name)}`;

function linkCell() {
  const link = element("a", { class: "line" });
  const update = (request) => {
    attribute(link, "href", storyLink(request["request-id"]));
    text(link, `${request.method} ${request.target}`.trim() || "no request line");
  };
  return { node: link, update };
}

/** The code of how it ended, where that says something: `--` is well. */
export const went = (request) => (request.code === "--" ? "" : request.code);
const status = (request) => (request["under-way"] ? "under way" : [request.status || "none", went(request)].filter(Boolean).join(" "));

/** What went wrong, once. */
function words(request) {
  const { failure = "", reason = "" } = request;
  if (!failure && !reason) return request.status >= 500 && request.server ? "answered so by the server" : "";
  return !failure || reason.startsWith(failure) ? reason : [failure, reason].filter(Boolean).join(": ");
}

const ended = (request) => request.ended ?? request.started + (request.total ?? 0);

/** How it is coloured: by what came of it. */
export function tone(request) {
  if (request.status >= 500 || (!request.status && !request["under-way"])) return "bad";
  return request.status >= 400 || went(request) ? "warn" : null;
}

function columns(now) {
  return [
    { key: "ended", title: "When", kind: "time", value: ended, falling: true, show: (item) => clock(ended(item), now()) },
    { key: "status", title: "Status", kind: "time", value: (item) => item.status, falling: true, show: status, tone },
    { key: "line", title: "Request", kind: "wide", head: true, value: (item) => item.target, make: linkCell },
    { key: "host", title: "Host", kind: "name", value: (item) => item.host, show: (item) => item.host || "–" },
    { key: "server", title: "Server", kind: "name address", value: (item) => item.server, show: (item) => item.server || "–" },
    { key: "reason", title: "What went wrong", kind: "wide reason", value: words, show: words },
    { key: "total", title: "Took", kind: "number", value: (item) => item.total, show: (item) => lasted(item.total) },
    { key: "id", title: "Id ends with", kind: "id", show: (item) => item["request-id"].slice(-8) },
  ];
}

export class Requests {
  constructor(section) {
    this.section = section;
    this.at = 0;
    this.failures = [];
    this.recorder = true;
    this.of = null;
    this.asking = null;
    this.total = 0;
    this.shown = "";
    this.select = element("select", { id: "which-requests" });
    for (const [value, shown] of CHOICES) this.select.append(element("option", { value }, shown));
    this.select.addEventListener("change", () => this.show());
    this.about = element("button", { type: "button", class: "about", hidden: true, title: "Show those of all" });
    this.about.addEventListener("click", () => this.choose(null));
    this.newer = element("button", { type: "button", class: "about", hidden: true }, "There are newer ones: show them");
    this.newer.addEventListener("click", () => {
      this.select.focus();
      this.show();
    });
    const choice = element("div", { class: "filter" }, this.newer, element("label", { for: "which-requests" }, "Show"), this.select, this.about);
    section.querySelector("header").append(choice);
    this.table = new LiveTable(section, {
      name: "requests", caption: "The last requests, newest first; each leads to its story", columns: columns(() => this.at), few: 12,
      noun: "request", none: "No request has failed.", key: (item) => item["request-id"] + item.started + item.ended,
      words: (item) => [item.method, item.target, item.host, item.route, item.server, item.client, words(item), status(item), item["request-id"]].join(" "),
      filter: { label: "Filter", id: "filter-requests" },
    });
    window.addEventListener("hashchange", () => this.follow());
  }

  update(overview) {
    this.at = overview.at;
    this.failures = overview.failures ?? [];
    this.recorder = overview.recorder !== false;
    this.total = overview.totals?.requests;
    this.show(true);
  }

  /** Show the requests of the route or the server that the address names. */
  follow() {
    const match = OF.exec(location.hash);
    if (!match) return;
    let name = match[2];
    try {
      name = decodeURIComponent(name);
    } catch {
      // It is shown as it is written, and nothing will be found.
    }
    this.select.value = "all";
    this.choose({ kind: match[1], name });
    this.section.scrollIntoView();
    this.select.focus({ preventScroll: true });
  }

  /** Show requests of one route or server, or of all. */
  choose(of) {
    this.of = of;
    if (!of && OF.test(location.hash)) history.replaceState(null, "", location.pathname + location.search);
    this.about.hidden = !of;
    if (of) text(this.about, `${of.kind} ${of.name === "-" ? "none" : of.name} ✕`);
    this.show();
  }

  /** Show what is chosen now; where it is only `renewed`, what somebody is reading stays as it is, and it is said if that is old. */
  show(renewed = false) {
    const still = renewed && held(this.table.body);
    const chosen = this.select.value === "failed" && !this.of;
    const last = this.failures[0];
    const now = JSON.stringify(chosen ? [last?.["request-id"], last?.ended] : this.total);
    this.newer.hidden = !still || now === this.shown;
    if (still) return;
    this.shown = now;
    if (!this.recorder) this.tell([], "The recorder is off, so no request is kept. Write “recorder: {}” into the configuration to have it.");
    else if (chosen) this.tell(this.failures, "No request has failed.");
    else if (!(renewed && this.asking)) this.load();
  }

  tell(requests, none) {
    this.table.options.none = none;
    this.table.update(requests);
  }

  async load() {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const query = [CHOICES.find(([value]) => value === this.select.value)[2], `limit=${MOST}`];
    if (this.of) query.push(`${this.of.kind}=${escaped(this.of.name)}`);
    try {
      const { requests } = await ask(`requests?${query.filter(Boolean).join("&")}`, asking.signal);
      if (asking === this.asking) this.tell(requests, "There is no such request among the last that are kept.");
    } catch (error) {
      if (asking === this.asking && !asking.signal.aborted) this.tell([], `l7 cannot say: ${error.message}`);
    } finally {
      if (asking === this.asking) this.asking = null;
    }
  }
}
