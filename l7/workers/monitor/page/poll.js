// Asks for the overview again and again: one request at a time and one timer, none while the page is hidden, later and later while
// nothing answers.

const WITHIN = 10_000; // milliseconds for an answer
const LONGEST = 30_000; // milliseconds between two tries
const LEAST = 1_000;
const NO_LOGIN = 401;

/** Why there is no document: `status` of the answer (0: none came), and what it said. */
export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

/** The address of the page without a login that may stand in it: none is asked for with one, nor shown. */
export const here = () => location.origin + location.pathname;

/** Get JSON from l7; raises `Refused`. `accept` is a status beside 200 whose JSON is wanted, too. */
export async function ask(path, signal, accept = 200) {
  const deadline = AbortSignal.timeout(WITHIN);
  const either = new AbortController();
  for (const one of [signal, deadline]) one?.addEventListener("abort", () => either.abort(), { once: true, signal: either.signal });
  let answer;
  let body;
  try {
    answer = await fetch(new URL(path, here()), { cache: "no-store", credentials: "same-origin", redirect: "error", signal: either.signal });
    body = await answer.text();
  } catch {
    throw new Refused(0, deadline.aborted ? "no answer within 10 seconds" : "no answer");
  } finally {
    either.abort();
  }
  if (answer.status !== 200 && answer.status !== accept) throw new Refused(answer.status, body.slice(0, 500).trim());
  try {
    return JSON.parse(body);
  } catch {
    throw new Refused(answer.status, answer.status === 200 ? "what was answered is no JSON" : body.slice(0, 500).trim());
  }
}

export class Poller {
  /** @param seen called with each document; @param failed with a `Refused` and the milliseconds to the next try, 0 for none. */
  constructor(path, seen, failed) {
    this.path = path;
    this.seen = seen;
    this.failed = failed;
    this.interval = 2_000;
    this.failures = 0;
    this.timer = 0;
    this.asking = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.now()));
    window.addEventListener("pagehide", () => this.stop());
    window.addEventListener("pageshow", (event) => event.persisted && this.now());
    window.addEventListener("online", () => this.failures && this.now());
  }

  /** Ask now, and go on. */
  now() {
    this.stop();
    this._ask();
  }

  /** Ask no more, until `now`. */
  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
  }

  async _ask() {
    const asking = new AbortController();
    this.asking = asking;
    let wait;
    try {
      const found = await ask(this.path, asking.signal);
      if (asking !== this.asking) return;
      if (found?.ok !== true) throw new Refused(200, found?.reasons?.join("; ") || "what was answered is no overview");
      this.failures = 0;
      if (found.interval > 0) this.interval = Math.max(found.interval * 1000, LEAST);
      wait = this.interval;
      this.seen(found);
    } catch (error) {
      if (asking !== this.asking) return;
      this.failures += 1;
      if (error.status === NO_LOGIN) {
        // The browser has asked for a login, and would ask again each time.
        this.failed(error, 0);
        return;
      }
      wait = Math.min(this.interval * 2 ** (this.failures - 1), LONGEST);
      this.failed(error, wait);
    }
    if (asking !== this.asking || document.hidden) return;
    this.timer = setTimeout(() => this._ask(), wait);
  }
}
