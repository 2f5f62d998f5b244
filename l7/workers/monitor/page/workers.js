// The processes of l7, and its certificates.

import { attribute, element, text } from "./dom.js";
import { ago, count, lasted, many, rate, size } from "./format.js";
import { SOON } from "./head.js";
import { idle, number } from "./routes.js";
import { mark } from "./servers.js";
import { LiveTable } from "./table.js";

const SLOW = 0.1; // seconds of lag of a worker's loop that people notice

function stateCell() {
  const made = mark();
  const tone = { ready: "good", starting: "warn", draining: "warn" };
  return { node: made.node, update: (worker) => made.update(worker.state, tone[worker.state] ?? "bad") };
}

export class Workers {
  constructor(section) {
    this.generation = 0;
    const old = (worker) => worker.generation !== this.generation;
    const columns = [
      { key: "worker", title: "Worker", head: true, value: (item) => item.worker, show: (item) => count(item.worker), falling: false },
      { key: "state", title: "State", kind: "state-cell", value: (item) => item.state, make: stateCell },
      { key: "generation", title: "Generation", kind: "number", value: (item) => item.generation, show: (item) => `${item.generation}${old(item) ? " (old)" : ""}`, tone: (item) => (old(item) ? "warn" : null) },
      number("connections", "Connections", count, { tone: idle("connections") }),
      number("in-flight", "In flight", count, { tone: idle("in-flight") }),
      number("requests-per-second", "Requests /s", rate, { tone: idle("requests-per-second") }),
      number("requests", "Requests", count),
      number("lag", "Lag", lasted, { hint: "how late the worker's loop comes to what is due", tone: (item) => (item.lag > SLOW ? "bad" : null) }),
      number("memory", "Memory", size),
      number("age", "Age", ago),
      { key: "pid", title: "Pid", kind: "number", value: (item) => item.pid, show: (item) => String(item.pid), falling: false },
    ];
    this.table = new LiveTable(section, {
      name: "workers", caption: "Workers", columns, few: 64, noun: "worker", none: "There is no worker.",
      key: (item) => item.pid,
    });
    this.others = element("p", { class: "others" });
    section.append(this.others);
  }

  update(overview) {
    this.generation = overview.configuration?.generation ?? 0;
    this.table.update(overview.workers ?? []);
    const process = (name, one) => (one?.pid ? `${name}: ${one.state ?? "there"}, pid ${one.pid}${one.memory ? `, ${size(one.memory)}` : ""}` : "");
    const parts = [process("monitor process", overview.monitor), process("privileged opener", overview.opener)];
    const idleClosed = overview.connections?.["idle-closed"];
    if (idleClosed) parts.push(`${many(idleClosed, "idle connection")} closed for new ones`);
    text(this.others, parts.filter(Boolean).join(" · "));
  }
}

/** How long a certificate lives, in words. */
function left(certificate) {
  const days = certificate.days_left;
  if (days == null) return "not known";
  if (days < 0) return "expired";
  return days < 1 ? "ends today" : many(Math.floor(days), "day");
}

const lifeTone = (certificate) => (certificate.days_left < 3 ? "bad" : certificate.days_left < SOON ? "warn" : null);

function namesCell() {
  const node = element("span", { class: "text" });
  const update = ({ names = [] }) => {
    text(node, names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : ""));
    attribute(node, "title", null);
  };
  return { node, update };
}

export class Certificates {
  constructor(section) {
    const columns = [
      { key: "names", title: "Names", kind: "name", head: true, value: (item) => item.names?.[0] ?? "", make: namesCell },
      { key: "left", title: "Left", kind: "number", value: (item) => item.days_left, show: left, tone: lifeTone, falling: false },
      { key: "until", title: "Valid until", kind: "name", value: (item) => item.not_after, show: (item) => item.not_after ?? "" },
      { key: "issuer", title: "Issuer", kind: "name", value: (item) => item.issuer, show: (item) => item.issuer ?? "" },
    ];
    this.table = new LiveTable(section, {
      name: "certificates", caption: "Certificates; those that end first come first", columns, few: 12, noun: "certificate",
      none: "No certificate: no listener speaks TLS.", key: (item) => JSON.stringify([item.names, item.not_after, item.issuer]),
      rowTone: lifeTone, order: (items) => [...items].sort((a, b) => a.days_left - b.days_left),
    });
  }

  update(overview) {
    this.table.update(overview.certificates ?? []);
  }
}
