// Where the time of a request went: its phases, which l7 has found, drawn to scale.

import { attribute, drawn, element } from "./dom.js";
import { lasted } from "./format.js";

const WIDTH = 1000;
const HEIGHT = 10;
const LEAST = 4; // so that the shortest is still seen

// How a phase is coloured goes by what its name begins with; the words say the same.
const KINDS = [
  ["waited for", "wait"],
  ["connect to ", "connect"],
  ["wait for ", "server"],
  ["at ", "server"],
  ["answer to ", "answer"],
];
const OPEN = "still there";

function kind({ name, note }) {
  if (note && note !== OPEN) return "fault";
  return KINDS.find(([begin]) => name.startsWith(begin))?.[1] ?? "own";
}

/** The time line of phases, {name, begin, end, note} in seconds since the request began; null where none is known. */
export function timeLine(phases) {
  if (!phases?.length) return null;
  const whole = Math.max(...phases.map((one) => one.end), 1e-6);
  return element("ol", { class: "timeline" }, ...phases.map((one) => bar(one, whole)));
}

function bar(phase, whole) {
  const seconds = phase.end - phase.begin;
  const width = Math.max((seconds / whole) * WIDTH, LEAST);
  const x = Math.min((phase.begin / whole) * WIDTH, WIDTH - width);
  const rect = drawn("rect", { x: x.toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT, rx: 1 });
  const view = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "bar" };
  const node = element("li", {});
  attribute(node, "data-kind", kind(phase));
  node.append(
    element("span", { class: "phase text" }, phase.name, phase.note ? element("em", {}, ` ${phase.note}`) : null),
    drawn("svg", view, rect),
    element("span", { class: "seconds" }, lasted(seconds)),
  );
  return node;
}
