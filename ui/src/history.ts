/** Figures over time, as charts want them. Pure but for the question. */
import { useMemo } from "preact/hooks";
import { useGet, type Loaded } from "./data";
import { at, chartSeconds, stepOf } from "./range";
import type { History } from "./types";
import type { Query } from "./api";

export interface Series {
  times: number[];
  rate: (number | null)[];
  errors: (number | null)[];
  p50: (number | null)[];
  p95: (number | null)[];
  p99: (number | null)[];
}

/** Points that nothing was told of stay null, so that a chart shows a gap. */
export function seriesOf(history: History): Series {
  const { from, step, points } = history;
  const pick = (key: "rate" | "errors" | "p50" | "p95" | "p99") => points.map((point) => (point ? point[key] : null));
  return {
    times: points.map((point, index) => point?.t ?? from + index * step),
    rate: pick("rate"),
    errors: pick("errors"),
    p50: pick("p50"),
    p95: pick("p95"),
    p99: pick("p99"),
  };
}

const FEWEST = 24;

/** Without what was before the first that is known: a young control plane's charts begin when it did. */
export function begun(history: History): History {
  const first = history.points.findIndex((point) => point !== null);
  const dropped = Math.max(0, Math.min(first - 1, history.points.length - FEWEST));
  return { ...history, from: history.from + dropped * history.step, points: history.points.slice(dropped) };
}

/** Without the newest few seconds, of which not every agent has told yet: charts would dip at their end. */
export function settled(history: History): History {
  const { step, points } = history;
  return step > 5 || points.length < 2 ? history : { ...history, points: points.slice(0, -1) };
}

export function useHistory(of: Query | null): Loaded<History> & { series: Series | null } {
  const seconds = chartSeconds.value;
  const query = { ...of, window: seconds, step: stepOf(seconds), at: at.value };
  const loaded = useGet<History>(of === null ? null : "v1/history", query, Math.max(5, stepOf(seconds) / 2));
  const data = useMemo(() => loaded.data && begun(at.value === null ? settled(loaded.data) : loaded.data), [loaded.data]);
  const series = useMemo(() => data && seriesOf(data), [data]);
  return { ...loaded, data, series };
}
