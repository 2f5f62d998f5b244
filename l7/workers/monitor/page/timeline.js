// Where the time of a request went: the phases of its record, drawn to scale. They are those of `l7 why`.

import { attribute, drawn, element } from "./dom.js";
import { lasted } from "./format.js";

const WIDTH = 1000;
const HEIGHT = 10;
const LEAST = 4; // so that the shortest is still seen

/** The phases of a record in their order: {name, kind, begin, end, note}, in seconds since it began. */
export function phases(record, now) {
  const attempts = record.attempts ?? [];
  let end = record.total ?? (record["under-way"] ? Math.max(now - record.started, 0) : 0);
  for (const one of attempts) end = Math.max(end, one["failed-at"] ?? one.began);
  const found = [];
  const add = (name, kind, begin, until, note = "") => {
    if (until > begin || note) found.push({ name, kind, begin, end: Math.max(until, begin), note });
  };
  const first = attempts.length ? attempts[0].began : end;
  const waited = Math.min(Math.max((record.queue ?? 0) - between(attempts, end), 0), first);
  const early = attempts.length || waited ? "read, checked, routed" : record["under-way"] ? "nothing was asked yet" : "answered by l7";
  add(early, "own", 0, first - waited);
  add("waited for a server", "wait", first - waited, first);
  attempts.forEach((one, index) => {
    const last = index + 1 === attempts.length;
    const stop = last ? end : attempts[index + 1].began;
    const done = one["failed-at"] == null ? stop : Math.min(one["failed-at"], stop);
    attempt(one, done, last, record["under-way"], add);
    if (done >= stop) return;
    if (record.queue > 0 || record["under-way"]) add("waited for a server", "wait", done, stop);
    else add(last ? "answered by l7" : "the next one was picked", "own", done, stop);
  });
  return found;
}

/** Seconds that a request waited between and after its attempts. */
function between(attempts, end) {
  return attempts.reduce((sum, one, index) => {
    if (one["failed-at"] == null) return sum;
    return sum + Math.max((attempts[index + 1]?.began ?? end) - one["failed-at"], 0);
  }, 0);
}

function attempt(one, end, last, underWay, add) {
  const fault = one.failure || "";
  const open = underWay ? "still there" : "";
  if (one.connect == null) {
    const name = fault || !(last && underWay) ? `connect to ${one.server}` : `at ${one.server}`;
    add(name, fault ? "fault" : "connect", one.began, end, fault || open);
    return;
  }
  const connected = Math.min(one.began + one.connect, end);
  if (one.connect) add(`connect to ${one.server}`, "connect", one.began, connected);
  if (one["first-byte"] == null) {
    add(`wait for ${one.server}`, fault ? "fault" : "server", connected, end, fault || open);
    return;
  }
  const answered = Math.min(connected + Math.max(one["first-byte"], 0), end);
  add(`wait for ${one.server}`, "server", connected, answered);
  if (last) add("answer to the client", fault ? "fault" : "answer", answered, end, fault);
}

/** The time line of a record, as a list of bars with their words; null where nothing is known. */
export function timeLine(record, now) {
  const found = phases(record, now);
  const whole = Math.max(...found.map((one) => one.end), 1e-6);
  if (!found.length) return null;
  return element("ol", { class: "timeline" }, ...found.map((one) => bar(one, whole)));
}

function bar(phase, whole) {
  const seconds = phase.end - phase.begin;
  const width = Math.max((seconds / whole) * WIDTH, LEAST);
  const x = Math.min((phase.begin / whole) * WIDTH, WIDTH - width);
  const rect = drawn("rect", { x: x.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT, rx: 1 });
  const view = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "bar" };
  const node = element("li", { "data-kind": phase.kind });
  attribute(node, "data-note", phase.note ? "yes" : null);
  node.append(
    element("span", { class: "phase text" }, phase.name, phase.note ? element("em", {}, ` ${phase.note}`) : null),
    drawn("svg", view, rect),
    element("span", { class: "seconds" }, lasted(seconds)),
  );
  return node;
}
