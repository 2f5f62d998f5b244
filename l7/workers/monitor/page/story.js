// The story of one request, in a dialog. The address holds its id (`#request=ID`), so that it can be copied, and Back closes it.

import { attribute, element, text } from "./dom.js";
import { clock, escaped, lasted, many, size } from "./format.js";
import { ask, here, Refused } from "./poll.js";
import { storyLink, tone, went } from "./requests.js";
import { timeLine } from "./timeline.js";

const LEAST = 4; // characters of an id
const ID = /^[\x21-\x7e]+$/;

const find = (id) => document.getElementById(id);

/** The id in the address, or null. */
export function wanted() {
  const match = /^#request=(.*)$/s.exec(location.hash);
  if (!match) return null;
  try {
    return decodeURIComponent(match[1]).trim();
  } catch {
    return match[1];
  }
}

export class Story {
  constructor() {
    this.dialog = find("story");
    this.body = find("story-body");
    this.title = find("story-title");
    this.copy = find("story-copy");
    this.asking = null;
    this.id = null;
    this.underWay = false;
    this.back = null;
    this.drawn = "";
    find("story-close").addEventListener("click", () => this.dialog.close());
    this.copy.addEventListener("click", () => this._copy());
    this.dialog.addEventListener("close", () => this._closed());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    window.addEventListener("hashchange", () => this.follow());
    find("find").addEventListener("submit", (event) => {
      event.preventDefault();
      const id = find("request-id").value.trim();
      if (id && storyLink(id) === location.hash) this.follow();
      else if (id) location.hash = storyLink(id);
    });
  }

  /** Open what the address names, or close what it names no more. */
  follow() {
    const id = wanted();
    if (id === null) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    if (!this.dialog.open) {
      this.back = document.activeElement;
      this.dialog.showModal();
    }
    this.id = id;
    this.drawn = "";
    this.underWay = false;
    text(this.title, `Request … ${id.slice(-8)}`);
    text(this.copy, "Copy link");
    this.body.replaceChildren(element("p", { class: "none" }, "Asking l7 …"));
    this.title.focus();
    this.load();
  }

  /** Ask again for a request that was under way when it was asked for last. */
  refresh() {
    if (this.dialog.open && this.underWay && !this.asking) this.load();
  }

  async load() {
    this.asking?.abort();
    const { id } = this;
    if (id.length < LEAST || !ID.test(id)) {
      this._say(`“${id}” is no request id: it takes the whole of one or its end, ${LEAST} characters or more.`);
      return;
    }
    const asking = new AbortController();
    this.asking = asking;
    try {
      const found = await ask(`requests/${escaped(id)}`, asking.signal, 404);
      if (asking === this.asking) this._show(found.requests ?? []);
    } catch (error) {
      if (asking === this.asking) this._fail(error);
    } finally {
      if (asking === this.asking) this.asking = null;
    }
  }

  _fail(error) {
    this.underWay = false;
    if (!(error instanceof Refused)) throw error;
    this._say(error.status ? `l7 cannot tell it: ${error.message.replace(/^\d+ [^:\n]*: /, "")}` : "l7 does not answer.");
  }

  _say(words) {
    this.body.replaceChildren(element("p", { class: "none" }, words));
  }

  _show(records) {
    const raw = JSON.stringify(records);
    if (raw === this.drawn) return;
    this.drawn = raw;
    this.underWay = records.some((one) => one["under-way"]);
    if (!records.length) {
      this._say("No request that is kept ends so. Kept are the last 10,000 requests, and apart from them the last 1,000 that failed, unless “recorder” says otherwise.");
      return;
    }
    text(this.title, records.length === 1 ? `${records[0].method} ${records[0].target}`.trim() || "No request line" : `${many(records.length, "request")} end with ${this.id}`);
    const { scrollTop } = this.body;
    this.body.replaceChildren(...(records.length === 1 ? whole(records[0]) : [choice(records)]));
    this.body.scrollTop = scrollTop;
  }

  async _copy() {
    const link = here() + location.search + location.hash;
    try {
      await navigator.clipboard.writeText(link);
      text(this.copy, "Copied");
    } catch {
      // Without TLS, and elsewhere than on loopback, a page may not copy: the link is shown, to be copied by hand.
      let shown = this.body.querySelector(".link");
      if (!shown) this.body.prepend((shown = element("input", { class: "link", readonly: true, "aria-label": "Link to this request" })));
      shown.value = link;
      shown.select();
    }
  }

  /** The event comes some time after: another one may have been asked for, or be open, by then. */
  _closed() {
    if (this.dialog.open) return;
    const { id } = this;
    this.asking?.abort();
    this.asking = null;
    this.underWay = false;
    this.id = null;
    this.drawn = "";
    this.body.replaceChildren();
    if (wanted() === id) history.replaceState(null, "", location.pathname + location.search);
    const back = this.back;
    this.back = null;
    if (back?.isConnected && back !== document.body) back.focus();
    else find("request-id").focus({ preventScroll: true });
  }
}

/** Several requests whose ids end alike; those of one id, which clients may choose, no link can tell apart: they unfold. */
function choice(records) {
  const ids = records.map((one) => one["request-id"]);
  return element("ul", { class: "choice" }, ...records.map((one) => {
    const words = `${one.method} ${one.target}`.trim() || "no request line";
    const facts = `${clock(one.started)} · ${[one.status || "no status", went(one)].filter(Boolean).join(" ")} · ${one.host || "no host"} · ${one["request-id"]}`;
    const about = element("small", { class: "text" }, facts);
    if (ids.filter((id) => id === one["request-id"]).length > 1) return element("li", {}, element("details", {}, element("summary", {}, words), ...whole(one)), about);
    return element("li", {}, element("a", { href: storyLink(one["request-id"]) }, words), about);
  }));
}

function verdict(record) {
  if (record["under-way"]) return ["busy", "under way"];
  if (record.died) return ["bad", "its worker ended while it was served"];
  const words = [record.status || "no status", went(record), record.failure].filter(Boolean).join(" · ");
  return [tone(record) ?? "good", words];
}

function whole(record) {
  const [kind, words] = verdict(record);
  const facts = [
    ["Took", record.total == null ? "–" : lasted(record.total)],
    ["Began", clock(record.started, Date.now() / 1000, true)],
    ["From", record.client || "–"],
    ["Host", record.host || "–"],
    ["Route", record.route || "–"],
    ["Server", record.server || "–"],
    ["Worker", `${record.worker}, generation ${record.generation}`],
    ["Bytes", `${size(record.received)} in, ${size(record.sent)} out`],
  ];
  const list = element("dl", { class: "record" });
  for (const [name, value] of facts) list.append(element("div", {}, element("dt", {}, name), element("dd", { class: "text" }, value)));
  const head = element("p", { class: "verdict" }, words);
  attribute(head, "data-tone", kind);
  const drawing = timeLine(record.phases);
  const parts = [head, element("p", { class: "id text" }, record["request-id"])];
  for (const line of record["ended-by"] ?? []) parts.push(element("p", { class: "text" }, line));
  for (const line of record["look-next"] ?? []) parts.push(element("p", { class: "next text" }, `Look next: ${line}`));
  parts.push(list);
  if (drawing) parts.push(element("h3", {}, "Where the time went"), drawing);
  if (record.story?.length) {
    const told = element("pre", { tabindex: "0", role: "region", "aria-label": "The story in words" });
    record.story.forEach((line, index) => told.append(index ? "\n" : "", element("span", {}, String(line))));
    parts.push(element("h3", {}, "The whole story"), told);
  }
  return parts;
}
