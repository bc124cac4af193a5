/** The stretch of time that a page shows: how long (`t`), and up to when (`at`; now if it is left out). */
import { computed } from "@preact/signals";
import { secondsOf } from "./format";
import { place } from "./url";

export const RANGES = ["1m", "5m", "15m", "1h", "6h", "24h"];
export const DEFAULT = "1m";
const SHORTEST_CHART = 15 * 60;

export const range = computed(() => {
  const text = place.value.query.get("t") ?? DEFAULT;
  return secondsOf(text) === null ? DEFAULT : text;
});

/** Seconds over which rates and percentiles are taken. */
export const windowSeconds = computed(() => secondsOf(range.value) ?? 60);

/** Seconds that charts show: a minute would be too few points. */
export const chartSeconds = computed(() => Math.max(windowSeconds.value, SHORTEST_CHART));

export const at = computed(() => {
  const value = Number(place.value.query.get("at"));
  return Number.isFinite(value) && value > 0 ? value : null;
});

/** What every question about figures has. */
export const figuresQuery = computed(() => ({ window: windowSeconds.value, at: at.value }));

/** Points as far apart as the control plane keeps them. */
export function stepOf(seconds: number): number {
  return seconds <= 900 ? 5 : 300;
}

/** ` --window 15m`, if it is not the minute that commands take by themselves. */
export const windowOption = computed(() => (range.value === DEFAULT ? "" : ` --window ${range.value}`));
