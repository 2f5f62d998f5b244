// Where the time of a request went: its phases, which l7 has found, drawn to scale.

import { attribute, drawn, element } from "./dom.js";
import { lasted } from "./format.js";

const WIDTH = 1000;
const HEIGHT = 10;
const LEAST = 4; // so that the shortest is still seen

const OPEN = "still there";

// How a phase is coloured; the words say the same.
function shade({ kind, note }) {
  return note && note !== OPEN ? "fault" : kind;
}

/** The time line of phases, {name, begin, end, kind, note} in seconds since the request began; null where none is known. */
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
  attribute(node, "data-kind", shade(phase));
  node.append(
    element("span", { class: "phase text" }, phase.name, phase.note ? element("em", {}, ` ${phase.note}`) : null),
    drawn("svg", view, rect),
    element("span", { class: "seconds" }, lasted(seconds)),
  );
  return node;
}
