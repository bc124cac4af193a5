/** The charts of one thing: how much is asked and fails, and how long it takes. */
import type { Query } from "../api";
import { duration, rate, span } from "../format";
import { useHistory } from "../history";
import { Failure, Skeleton } from "./basics";
import { Chart } from "./chart";

export function Signals({ of, height }: { of: Query | null; height?: number }) {
  const { series, data, error, again, loading } = useHistory(of);
  if (error && !series) return <Failure error={error} again={again} />;
  if (loading || !series || !data) return <Skeleton rows={5} />;
  const [from, to] = [data.from, Math.max(data.from + data.step, data.from + (data.points.length - 1) * data.step)];
  const common = { times: series.times, from, to, height };
  const last = `last ${span(Math.round((to - from + data.step) / 60) * 60 || to - from)}`;
  return (
    <div class="charts">
      <Chart
        {...common}
        title={`Requests per second, ${last}`}
        write={rate}
        lines={[
          { label: "requests", color: "accent", values: series.rate, fill: true },
          { label: "errors", color: "bad", values: series.errors, fill: true },
        ]}
      />
      <Chart
        {...common}
        title={`Latency, ${last}`}
        write={duration}
        lines={[
          { label: "p50", color: "p50", values: series.p50 },
          { label: "p95", color: "p95", values: series.p95 },
          { label: "p99", color: "p99", values: series.p99 },
        ]}
      />
    </div>
  );
}
