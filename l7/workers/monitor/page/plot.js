// Small plots of the last minutes, drawn as SVG. A plot is made once; new samples change its paths and nothing else.

import { attribute, drawn } from "./dom.js";

const HEIGHT = 100;

/** The highest of the samples that are known, and at least `least`. */
export function highest(samples, least = 0) {
  let most = least;
  for (const value of samples ?? []) if (value != null && value > most) most = value;
  return most;
}

/** The path through samples, oldest first; a sample that is not known makes a gap. */
function line(samples, most, width, closed) {
  const step = width / Math.max(samples.length - 1, 1);
  const y = (value) => (HEIGHT - (most > 0 ? Math.min(value / most, 1) : 0) * (HEIGHT - 6) - 2).toFixed(1);
  let path = "";
  let begun = -1;
  const end = (index) => {
    if (begun < 0) return;
    if (closed) path += `L${((index - 1) * step).toFixed(1)},${HEIGHT}L${(begun * step).toFixed(1)},${HEIGHT}Z`;
    else if (index - 1 === begun) path += "h0.01";
    begun = -1;
  };
  samples.forEach((value, index) => {
    if (value == null) {
      end(index);
      return;
    }
    path += `${begun < 0 ? "M" : "L"}${(index * step).toFixed(1)},${y(value)}`;
    if (begun < 0) begun = index;
  });
  end(samples.length);
  return path;
}

/** Bars from the ground, for what should be none: each sample above zero is seen, however small beside the others. */
function bars(samples, most, width) {
  const step = width / Math.max(samples.length, 1);
  let path = "";
  samples.forEach((value, index) => {
    if (!value) return;
    const height = Math.max((most > 0 ? Math.min(value / most, 1) : 0) * (HEIGHT - 6), 14);
    path += `M${((index + 0.5) * step).toFixed(1)},${HEIGHT}v-${height.toFixed(1)}`;
  });
  return path;
}

/** A plot: an area with its line, and bars for errors. */
export class Plot {
  /** @param label what it shows, for those who cannot see it; without one it is left out for them. */
  constructor(width = 300, label = "") {
    this.width = width;
    this.area = drawn("path", { class: "area" });
    this.line = drawn("path", { class: "line", "vector-effect": "non-scaling-stroke" });
    this.bars = drawn("path", { class: "bars", "vector-effect": "non-scaling-stroke" });
    const words = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    const view = { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", ...words };
    this.node = drawn("svg", view, this.area, this.line, this.bars);
  }

  /** Draw samples, oldest first, null where not known; `errors` are drawn to the same scale. */
  update(samples, errors = null, least = 0) {
    const values = samples ?? [];
    const most = highest(values, least);
    attribute(this.area, "d", line(values, most, this.width, true));
    attribute(this.line, "d", line(values, most, this.width, false));
    attribute(this.bars, "d", errors ? bars(errors, most, this.width) : "");
  }
}
