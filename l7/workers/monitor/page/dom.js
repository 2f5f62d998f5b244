// Elements are made and changed here. Text comes in by `textContent` alone, so that none of it can be markup, and only where it
// has changed, so that what a person has selected, focused or scrolled stays as it is.

import { visible } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) attribute(made, name, value);
  made.append(...children.filter((child) => child != null));
  return made;
}

/** An element; strings among the children become text. `attributes` never has `style`: the policy forbids it. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children.map((one) => (typeof one === "string" ? visible(one) : one)));
}

/** An element of a drawing. */
export function drawn(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Set an attribute where it is another one; null and false take it away. */
export function attribute(made, name, value) {
  if (value == null || value === false) {
    if (made.hasAttribute(name)) made.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (made.getAttribute(name) !== text) made.setAttribute(name, text);
}

/** Set the text of an element that holds only text. */
export function text(made, content) {
  const wanted = visible(content);
  const node = made.firstChild;
  if (node && node.nodeType === Node.TEXT_NODE && !node.nextSibling) {
    if (node.data !== wanted) node.data = wanted;
  } else if (node || wanted) {
    made.textContent = wanted;
  }
}

/** Whether somebody is at work within an element: the pointer, the focus or a selection is there. */
export function held(made) {
  if (made.contains(document.activeElement) || made.matches(":hover")) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(made, true));
}

/** Let the children be these, in this order, and move no more of them than has to be. */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

/** A keyed list: `make(key)` gives {node, update(item)} once for each key, and what has gone is forgotten. */
export class Keyed {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.entries = new Map();
  }

  /** Show the items, of which each has another `key(item)`; the order of what is there already stays where it is `frozen`. */
  show(items, key, frozen = false) {
    const entries = new Map();
    for (const item of items) {
      const name = key(item);
      const entry = this.entries.get(name) ?? this.make(item);
      entry.update(item);
      entries.set(name, entry);
    }
    let nodes = [...entries.values()].map((entry) => entry.node);
    if (frozen) {
      const staying = new Set(nodes);
      const before = [...this.parent.children].filter((node) => staying.has(node));
      const old = new Set(before);
      nodes = [...before, ...nodes.filter((node) => !old.has(node))];
    }
    this.entries = entries;
    arrange(this.parent, nodes);
  }
}
