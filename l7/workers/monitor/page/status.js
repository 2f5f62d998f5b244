// The one line that says whether what is shown is true now: live, late, refused, reloading, or another l7 than before.

import { attribute, text } from "./dom.js";
import { ago, clock } from "./format.js";
import { Refused } from "./poll.js";

const PHASES = {
  starting: "l7 is starting.",
  canary: "Reloading: the first worker of the new generation is on trial.",
  rolling: "Reloading: workers are replaced one after the other.",
  rollback: "The new generation did not do: l7 goes back to the one before.",
  upgrading: "l7 is being upgraded in place.",
  retiring: "This l7 has handed over to a new one, and ends.",
  draining: "l7 is stopping: it finishes what is under way.",
  stopping: "l7 is stopping.",
  stopped: "l7 has stopped.",
};
const NOTED = 20; // seconds for which a line says that l7 was started anew

const find = (id) => document.getElementById(id);

export class StatusLine {
  /** @param again tries at once. */
  constructor(again) {
    this.again = again;
    this.line = find("status");
    this.words = find("status-text");
    this.action = find("status-action");
    this.age = find("age");
    this.version = null;
    this.started = null;
    this.restarted = 0;
    this.received = 0;
    this.next = 0;
    this.act = null;
    this.ticking = 0;
    this.action.addEventListener("click", () => this.act?.());
    document.addEventListener("visibilitychange", () => this._tick());
  }

  /** A document has come. */
  seen(document_) {
    const now = Date.now();
    this.version ??= document_.version;
    if (this.started !== null && document_.started !== this.started) this.restarted = now;
    this.started = document_.started ?? null;
    this.received = now;
    this.next = 0;
    clearInterval(this.ticking);
    this.ticking = 0;
    attribute(document.body, "data-stale", null);
    text(this.age, "");
    if (document_.version !== this.version) {
      const words = `l7 is now ${document_.version}, and this page comes from ${this.version}.`;
      this._say("warn", words, "Load the page again", () => location.reload());
    } else if (PHASES[document_.state]) this._say("busy", PHASES[document_.state]);
    else if (now - this.restarted < NOTED * 1000) this._say("live", `Live. l7 was started anew at ${clock(this.restarted / 1000)}.`);
    else this._say("live", "Live");
  }

  /** None has come; the next try is in `wait` milliseconds. */
  failed(error, wait) {
    this.next = wait && Date.now() + wait;
    attribute(document.body, "data-stale", true);
    const status = error instanceof Refused ? error.status : -1;
    if (status === 401) {
      this._say("bad", "l7 wants a login for this page.", "Load the page again", () => location.reload());
    } else if (status === 403 || status === 421) {
      this._say("bad", `l7 refuses: ${error.message.replace(/^\d+ [^:\n]*: /, "")}`, "Try now", this.again);
    } else if (status === 404) {
      this._say("bad", "There is no overview at this address: is this page of another l7?", "Load the page again", () => location.reload());
    } else if (status === 0) {
      this._say("bad", `l7 does not answer${this.received ? "" : " yet"}.`, "Try now", this.again);
    } else if (status === -1) {
      this._say("bad", "What l7 has answered could not be shown.", "Load the page again", () => location.reload());
    } else {
      this._say("bad", `l7 does not say how it is: ${error.message.replace(/^\d+ [^:\n]*: /, "") || status}.`, "Try now", this.again);
    }
    this._tick();
  }

  // The words are said by a screen reader when they change, and the age, which changes each second, is not.
  _say(kind, words, label = "", act = null) {
    attribute(this.line, "data-kind", kind);
    text(this.words, words);
    this.act = act;
    this.action.hidden = !label;
    if (label) text(this.action, label);
  }

  /** Say each second how old is what is shown, as long as nothing new comes and somebody may look. */
  _tick() {
    clearInterval(this.ticking);
    this.ticking = 0;
    if (!this.next) text(this.age, "");
    if (!this.next || document.hidden) return;
    const say = () => {
      const now = Date.now();
      const shown = this.received ? `shown is ${clock(this.received / 1000)}, ${ago((now - this.received) / 1000)} old; ` : "";
      const wait = Math.max(Math.ceil((this.next - now) / 1000), 0);
      text(this.age, wait ? `${shown}next try in ${wait} s` : `${shown}trying …`);
    };
    say();
    this.ticking = setInterval(say, 1000);
  }
}
