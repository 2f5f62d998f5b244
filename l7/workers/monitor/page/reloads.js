// The reloads, newest first: what was wanted, what came of it, and what is on disk now.

import { attribute, element, Keyed, text } from "./dom.js";
import { clock, lasted, many } from "./format.js";
import { mark } from "./servers.js";

const FEW = 6; // lines of a reload that are seen at once

/** What a line of differences does: its colour is the smaller part of it. */
function kind(line) {
  if (/: added\b|\badded( \(|$)/.test(line)) return "plus";
  if (/: removed\b|\bremoved( \(|$)/.test(line)) return "minus";
  return "other";
}

function lines(words, name) {
  return element("ul", { class: name }, ...words.map((line) => element("li", { "data-kind": name === "diff" ? kind(line) : null }, line)));
}

/** Lines of text; the rest of many is folded. */
function folded(words, name) {
  if (words.length <= FEW) return [lines(words, name)];
  const rest = words.slice(FEW);
  return [lines(words.slice(0, FEW), name), element("details", {}, element("summary", {}, `${rest.length} more`), lines(rest, name))];
}

function entry(item) {
  const verdict = mark();
  const facts = element("span", { class: "facts" });
  const node = element("li", {}, element("p", {}, verdict.node, " ", facts));
  if (item.reasons?.length) node.append(...folded(item.reasons, item.tone === "bad" ? "reasons" : "warnings"));
  if (item.changes?.length) node.append(...folded(item.changes, "diff"));
  const update = (now) => {
    verdict.update(now.word, now.tone);
    text(facts, now.facts);
    attribute(node, "data-tone", now.tone);
  };
  return { node, update };
}

/** What is on disk, where that is not what is served; as an entry of its own. */
function onDisk({ "on-disk": state, problems = [], changes = [], file }) {
  if (state === "invalid") return [{ word: "invalid on disk", tone: "bad", facts: `${file ?? ""}: a reload would be refused`, reasons: problems, changes: [] }];
  if (state === "differs") return [{ word: "differs on disk", tone: "warn", facts: `${file ?? ""}: not loaded yet`, reasons: [], changes }];
  return [];
}

function told(reload, now) {
  const facts = [clock(reload.at, now)];
  facts.push(reload.ok ? `generation ${reload.generation}` : `generation ${reload.generation} stays`);
  if (reload.seconds != null) facts.push(`took ${lasted(reload.seconds)}`);
  if (reload["handed-over"]) facts.push(`${many(reload["handed-over"], "connection")} handed over`);
  if (reload.ok && !reload.changes?.length) facts.push("no difference");
  return { ...reload, word: reload.ok ? "applied" : "refused", tone: reload.ok ? "good" : "bad", facts: facts.join(" · ") };
}

export class Reloads {
  constructor(section) {
    this.list = new Keyed(section.querySelector("ol"), entry);
    this.none = element("p", { class: "none" }, "None since l7 was started.");
    section.append(this.none);
  }

  update(overview) {
    const reloads = [...(overview.reloads ?? [])].sort((a, b) => b.at - a.at);
    const all = [...onDisk(overview.configuration ?? {}), ...reloads.map((reload) => told(reload, overview.at))];
    this.list.show(all, (item) => JSON.stringify([item.word, item.at, item.reasons, item.changes]));
    this.none.hidden = all.length > 0;
  }
}
