// How numbers and times are written: each with its unit.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const absoluteTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** count writes a count; one that reached the limit at which the server stops counting means "at least". */
export function count(n, limit = Infinity) {
  return n >= limit ? `${whole.format(limit)}+` : whole.format(n);
}

/** duration writes milliseconds in the unit that fits: 3 ms, 0.9 s, 12.4 s, 2 min 4 s, 3 h 5 min, 2 d 1 h. */
export function duration(ms) {
  if (ms < 0) return "0 ms";
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < minute) return `${(ms / second).toFixed(1)} s`;
  if (ms < hour) return pair(ms, minute, "min", second, "s");
  if (ms < day) return pair(ms, hour, "h", minute, "min");
  return pair(ms, day, "d", hour, "h");
}

function pair(ms, large, largeUnit, small, smallUnit) {
  const most = Math.floor(ms / large);
  const rest = Math.floor((ms % large) / small);
  return rest === 0 ? `${most} ${largeUnit}` : `${most} ${largeUnit} ${rest} ${smallUnit}`;
}

/** relative writes a time as seen from now: "now", "12 s ago", "in 4 min". */
export function relative(date, now = Date.now()) {
  const ms = now - date.getTime();
  const size = Math.abs(ms);
  if (size < second) return "now";
  let text = `${Math.floor(size / day)} d`;
  if (size < minute) text = `${Math.floor(size / second)} s`;
  else if (size < hour) text = `${Math.floor(size / minute)} min`;
  else if (size < day) text = `${Math.floor(size / hour)} h`;
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

/** absolute writes a time in full, in the visitor's time zone. */
export function absolute(date) {
  return absoluteTime.format(date);
}

/** clock writes the time of day of a log line, with milliseconds: 09:00:01.204. */
export function clock(date) {
  const two = (n) => String(n).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** percent writes a share of 100. */
export function percent(value) {
  return `${Math.round(value)} %`;
}

/** bytes writes a size: 812 B, 3.4 KiB, 1.2 MiB. */
export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}
