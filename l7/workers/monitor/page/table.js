// A table that lives: rows are updated in place, sorted by a column, filtered by a word, and no more of them shown than a person
// reads, unless asked for. Its rows keep their places while somebody is at work on them.

import { attribute, element, held, Keyed, text } from "./dom.js";
import { many } from "./format.js";

const WORTH = 6; // rows among which nobody looks for one

/**
 * One column.
 * @typedef {{key: string, title: string, hint?: string, kind?: string, value?: (item: any) => any, show?: (item: any) => string,
 *   make?: (item: any) => {node: Node, update: (item: any) => void}, tone?: (item: any) => string|null, falling?: boolean}} Column
 * `value` is what is sorted by (none: it cannot be); `show` the text; `make` gives a node instead; `tone` how it is coloured.
 */

export class LiveTable {
  /** @param options {caption, columns, key(item), words(item), rowTone(item), few, noun, none, order(items), filter} */
  constructor(section, options) {
    this.options = options;
    this.items = [];
    this.sort = null;
    this.all = false;
    this.buttons = new Map();
    this.head = element("tr", { role: "row" });
    this.body = element("tbody", { role: "rowgroup" });
    for (const column of options.columns) this.head.append(this._header(column));
    this.rows = new Keyed(this.body, (item) => this._row(item));
    const caption = element("caption", { class: "unseen" }, options.caption);
    const table = element("table", { role: "table", class: options.name }, caption);
    table.append(element("thead", { role: "rowgroup" }, this.head), this.body);
    this.none = element("p", { class: "none", hidden: true });
    this.more = element("button", { type: "button", class: "more", hidden: true });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.draw();
    });
    this.table = table;
    if (options.filter) section.querySelector("header").append(this._filter(options.filter));
    section.append(table, this.none, this.more);
  }

  /** Show these items from now on. */
  update(items) {
    this.items = items;
    this.draw(held(this.body));
  }

  /** Draw what there is; `frozen` leaves rows where they are. */
  draw(frozen = false) {
    const { options } = this;
    const word = this.input ? this.input.value.trim().toLowerCase() : "";
    const found = word ? this.items.filter((item) => options.words(item).toLowerCase().includes(word)) : this.items;
    const sorted = this._sorted(found);
    const shown = this.all ? sorted : this._few(sorted, frozen);
    this.rows.show(shown, options.key, frozen);
    this.table.hidden = shown.length === 0;
    this.none.hidden = shown.length !== 0;
    if (!shown.length) text(this.none, word && this.items.length ? `No ${options.noun} has “${word}” in it.` : options.none);
    this.more.hidden = found.length <= options.few;
    text(this.more, this.all ? `Show the first ${options.few}` : `Show all ${many(found.length, options.noun)}`);
    if (this.input) this.input.parentElement.hidden = this.items.length <= WORTH && !word && document.activeElement !== this.input;
    if (this.tally) text(this.tally, word ? `${found.length} of ${this.items.length}` : "");
  }

  /** The first rows; where rows stay in their places, those that are shown already. */
  _few(sorted, frozen) {
    const { few, key } = this.options;
    if (!frozen || sorted.length <= few) return sorted.slice(0, few);
    const there = sorted.filter((item) => this.rows.entries.has(key(item)));
    const others = sorted.filter((item) => !this.rows.entries.has(key(item)));
    return [...there, ...others].slice(0, few);
  }

  _sorted(items) {
    if (!this.sort) return this.options.order ? this.options.order(items) : items;
    const { value } = this.sort.column;
    const sign = this.sort.falling ? -1 : 1;
    return items
      .map((item, index) => ({ item, index, by: value(item) ?? null }))
      .sort((a, b) => {
        if (a.by === b.by) return a.index - b.index;
        if (a.by === null) return 1;
        if (b.by === null) return -1;
        return (a.by < b.by ? -1 : 1) * sign;
      })
      .map((one) => one.item);
  }

  _header(column) {
    const title = element("span", {}, column.title);
    const head = element("th", { scope: "col", role: "columnheader", class: column.kind, title: column.hint });
    if (!column.value) {
      head.append(title);
      return head;
    }
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => this._sortBy(column));
    this.buttons.set(column, head);
    head.append(button);
    return head;
  }

  /** Once, the other way round, and back to the order that there is without. */
  _sortBy(column) {
    const first = column.falling ?? column.kind === "number";
    if (this.sort?.column !== column) this.sort = { column, falling: first };
    else if (this.sort.falling === first) this.sort = { column, falling: !first };
    else this.sort = null;
    for (const [one, head] of this.buttons) {
      const way = this.sort?.falling ? "descending" : "ascending";
      attribute(head, "aria-sort", this.sort?.column === one ? way : null);
    }
    this.draw();
  }

  _filter({ label, id }) {
    this.input = element("input", { type: "search", id, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
    this.input.addEventListener("input", () => this.draw());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.input.value) return;
      this.input.value = "";
      this.draw();
    });
    this.tally = element("span", { class: "tally" });
    return element("div", { class: "filter" }, this.tally, element("label", { for: id }, label), this.input);
  }

  _row() {
    const cells = this.options.columns.map((column) => this._cell(column));
    const node = element("tr", { role: "row" }, ...cells.map((one) => one.node));
    const update = (item) => {
      attribute(node, "data-tone", this.options.rowTone?.(item));
      for (const one of cells) one.update(item);
    };
    return { node, update };
  }

  _cell(column) {
    const name = column.head ? "th" : "td";
    const node = element(name, { role: column.head ? "rowheader" : "cell", scope: column.head ? "row" : null });
    attribute(node, "class", column.kind);
    attribute(node, "data-label", column.label ?? column.title);
    if (column.make) {
      const made = column.make();
      node.append(made.node);
      return { node, update: (item) => made.update(item) };
    }
    const update = (item) => {
      text(node, column.show(item));
      attribute(node, "data-tone", column.tone?.(item));
    };
    return { node, update };
  }
}
