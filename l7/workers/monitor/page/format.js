// Numbers, times and strange characters as people read them. Nothing here touches the page.

const NONE = "–";

// What would be invisible, or turn the order of other characters around: C0, DEL, C1, soft hyphen, bidi controls, zero widths,
// line separators, variation and tag characters, the byte order mark, and halves of surrogates.
const STRANGE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;

/** The text with what could not be seen, or would deceive, written as an escape: `\x1b`, `\u202e`. */
export function visible(text) {
  return String(text ?? "").replace(STRANGE, (one) => {
    const code = one.codePointAt(0);
    const hex = code.toString(16);
    if (code < 0x100) return "\\x" + hex.padStart(2, "0");
    return code > 0xffff ? `\\U${hex.padStart(8, "0")}` : "\\u" + hex.padStart(4, "0");
  });
}

/** The text as a part of an address; half a surrogate, which none can hold, as what stands for anything. */
export function escaped(text) {
  return encodeURIComponent(String(text).replace(/\p{Surrogate}/gu, "\ufffd"));
}

/** A count: 1,234 or 1.23 M. */
export function count(value) {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** How many a second. */
export function rate(value) {
  if (value == null || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 100) return value.toFixed(1);
  return value < 1e5 ? count(value) : `${(value / 1000).toFixed(0)} k`;
}

/** How long something took, in seconds, to three digits: 310 µs, 12.3 ms, 430 ms, 1.20 s, 12.3 s, 123 s, 2.8 h. */
export function lasted(seconds) {
  if (seconds == null || !Number.isFinite(seconds) || seconds < 0) return NONE;
  if (seconds === 0) return "0";
  const shown = (value, most) => value.toFixed(Math.min(most, value < 9.995 ? 2 : value < 99.95 ? 1 : 0));
  if (seconds < 0.0009995) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 0.9995) return `${shown(seconds * 1e3, 1)} ms`;
  return seconds < 9999.5 ? `${shown(seconds, 2)} s` : `${shown(seconds / 3600, 1)} h`;
}

/** A span of time in the unit that says most: 14 s, 4 min, 3 h 20 min, 12 d. */
export function ago(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return days < 10 && hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

const two = (number) => String(number).padStart(2, "0");

/** A point in time, seconds since 1970, as this machine's time of day; with the day where it is not the day of `now`. */
export function clock(seconds, now = Date.now() / 1000, precise = false) {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  const at = new Date(seconds * 1000);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const fraction = precise ? `.${String(at.getMilliseconds()).padStart(3, "0")}` : "";
  const today = new Date(now * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return at.toDateString() === today.toDateString() ? time + fraction : `${day} ${time}${fraction}`;
}

/** Bytes: 512 B, 36 MiB. */
export function size(bytes) {
  if (bytes == null || !Number.isFinite(bytes)) return NONE;
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB") return `${value < 10 && unit !== "B" ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
    value /= 1024;
  }
  return NONE;
}

/** `1 server`, `3 servers`. */
export function many(number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`;
}
