/** Numbers and times as the page writes them. Pure. */

const NONE = "–";

/** A rate per second: 0, 0.42, 7.3, 118, 1.2k, 3.4M. */
export function rate(value: number | null | undefined): string {
  if (value == null) return NONE;
  if (value === 0) return "0";
  if (value < 0.01) return "<0.01";
  if (value < 1) return value.toFixed(2);
  if (value < 99.95) return value.toFixed(1);
  return count(Math.round(value));
}

export function count(value: number): string {
  if (value < 1000) return String(Math.round(value));
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (value >= size) return `${trimmed(value / size)}${unit}`;
  }
  return String(value);
}

function trimmed(value: number): string {
  return value >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
}

/** A share of 1 as percent. Never rounds up to 100 %, nor down to 0: one error in a million shows. */
export function percent(share: number | null | undefined): string {
  if (share == null) return NONE;
  if (share <= 0) return "0%";
  if (share >= 1) return "100%";
  const value = share * 100;
  if (value > 99.99) return ">99.99%";
  if (value < 0.01) return "<0.01%";
  if (value >= 99.9) return `${(Math.floor(value * 100) / 100).toFixed(2)}%`;
  return value < 10 ? `${value.toFixed(1)}%` : `${Number(value.toFixed(1))}%`;
}

/** Milliseconds: 0.4 ms, 12 ms, 1.24 s, 2 min. */
export function duration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return NONE;
  if (ms === 0) return "0 ms";
  if (ms < 0.001) return "<1 µs";
  if (ms < 0.1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${trimmed(ms)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
  return span(ms / 1000);
}

/** A length of time in seconds: 8s, 3m, 2h, 5d. */
export function span(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  const value = Math.max(0, seconds);
  if (value < 60) return `${Math.floor(value)}s`;
  if (value < 3600) return `${Math.floor(value / 60)}m`;
  if (value < 48 * 3600) return `${Math.floor(value / 3600)}h`;
  return `${Math.floor(value / 86400)}d`;
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return NONE;
  if (value < 1000) return `${Math.round(value)} B`;
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const) {
    if (value >= size) return `${trimmed(value / size)} ${unit}`;
  }
  return NONE;
}

const pad = (value: number, digits = 2): string => String(value).padStart(digits, "0");

/** A moment as the clock on the wall has it: 14:03:27. */
export function clock(unix: number, millis = false): string {
  const at = new Date(unix * 1000);
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return millis ? `${text}.${pad(at.getMilliseconds(), 3)}` : text;
}

/** 2026-11-26 14:03:27 */
export function date(unix: number): string {
  const at = new Date(unix * 1000);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(unix)}`;
}

/** Windows as the address has them: 90s, 15m, 6h, 2d. Null for what is none. */
export function secondsOf(text: string): number | null {
  const found = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (!found) return null;
  return Number(found[1]) * { s: 1, m: 60, h: 3600, d: 86400 }[found[2] as "s" | "m" | "h" | "d"];
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
