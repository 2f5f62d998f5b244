// The last requests that failed. Each is a link to its story, which can be copied.

import { attribute, element, text } from "./dom.js";
import { clock, lasted } from "./format.js";
import { LiveTable } from "./table.js";

/** What is in the address for the story of a request. */
export const storyLink = (id) => `#request=${encodeURIComponent(id)}`;

function linkCell(now) {
  const link = element("a", { class: "line" });
  const update = (request) => {
    attribute(link, "href", storyLink(request["request-id"]));
    text(link, `${request.method} ${request.target}`.trim() || "no request line");
  };
  return { node: link, update };
}

const status = (request) => [request.status || "none", request.code].filter(Boolean).join(" ");
const words = (request) => [request.failure, request.reason].filter(Boolean).filter((one, at, all) => all.indexOf(one) === at).join(": ");

export class Failures {
  constructor(section) {
    this.at = 0;
    const columns = [
      { key: "ended", title: "When", kind: "time", value: (item) => item.ended, falling: true, show: (item) => clock(item.ended, this.at) },
      { key: "status", title: "Status", kind: "time", value: (item) => item.status, show: status, tone: () => "bad" },
      { key: "line", title: "Request", kind: "wide", head: true, value: (item) => item.target, make: () => linkCell() },
      { key: "host", title: "Host", kind: "name", value: (item) => item.host, show: (item) => item.host || "–" },
      { key: "server", title: "Server", kind: "name", value: (item) => item.server, show: (item) => item.server || "–" },
      { key: "reason", title: "What went wrong", kind: "wide", value: words, show: words },
      { key: "total", title: "Took", kind: "number", value: (item) => item.total, show: (item) => lasted(item.total) },
      { key: "id", title: "Id ends with", kind: "id", show: (item) => item["request-id"].slice(-8) },
    ];
    this.table = new LiveTable(section, {
      name: "failures", caption: "The last requests that failed, newest first; each leads to its story", columns, few: 12, noun: "failure",
      none: "No request has failed.", key: (item) => item["request-id"] + item.ended,
      words: (item) => [item.method, item.target, item.host, item.server, item.client, words(item), status(item), item["request-id"]].join(" "),
      order: (items) => items, filter: { label: "Filter failures", id: "filter-failures" },
    });
  }

  update(overview) {
    this.at = overview.at;
    const on = overview.recorder !== false;
    this.table.options.none = on
      ? "No request has failed."
      : "The recorder is off, so no request is kept. Write “recorder: {}” into the configuration to have it.";
    this.table.update(overview.failures ?? []);
  }
}
