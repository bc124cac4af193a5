/** Figures as tables show them: of services, workloads, routes and proxies alike. */
import { secured, toneOf } from "../graph/health";
import { count, duration, percent, rate } from "../format";
import { isDown } from "../instances";
import type { StatRow } from "../types";
import { Dot, Share } from "./basics";
import { Lock } from "./icons";
import type { Column } from "./table";

export function toneOfRow(row: StatRow): ReturnType<typeof toneOf> {
  if (isDown(row.instances)) return "bad";
  return toneOf(row.success, row.rate);
}

/** The columns that all of them have. */
export function figureColumns(): Column<StatRow>[] {
  return [
    { key: "rate", label: "Rate/s", number: true, by: (row) => row.rate, cell: (row) => <strong>{rate(row.rate)}</strong> },
    { key: "success", label: "Success", number: true, by: (row) => row.success, cell: (row) => <span class={`text ${toneOf(row.success, row.rate)}`}>{percent(row.success)}</span> },
    { key: "p50", label: "p50", number: true, wide: true, by: (row) => row.p50, cell: (row) => duration(row.p50) },
    { key: "p95", label: "p95", number: true, by: (row) => row.p95, cell: (row) => duration(row.p95) },
    { key: "p99", label: "p99", number: true, wide: true, by: (row) => row.p99, cell: (row) => duration(row.p99) },
    { key: "mtls", label: "mTLS", by: (row) => row.mtls, cell: (row) => <Lock share={secured(row.mtls, row.success)} /> },
  ];
}

export function nameColumn(label: string, hrefOf: (row: StatRow) => string | null, nameOf: (row: StatRow) => string): Column<StatRow> {
  return {
    key: "name",
    label,
    by: nameOf,
    cell: (row) => {
      const href = hrefOf(row);
      const name = nameOf(row);
      return (
        <>
          <Dot tone={toneOfRow(row)} />
          {href ? <a href={href}>{name}</a> : name}
        </>
      );
    },
  };
}

/** Calls that callers' sidecars tell of and none of the service's own. */
export function Unreached({ count: number }: { count: number }) {
  return <b class="text bad">{`${count(number)} did not reach it`}</b>;
}

/** What Envoy's response flags mean, as its documentation has them, in a few words. */
const FLAGS: Record<string, string> = {
  UH: "no healthy instance",
  UF: "could not connect",
  UO: "too many at once: circuit breaker",
  NR: "no route",
  URX: "gave up after retries",
  NC: "no cluster",
  DT: "took longer than allowed",
  DC: "the caller went away",
  LH: "failed a health check",
  UT: "no answer in time",
  LR: "reset here",
  DR: "reset by the caller",
  UR: "reset by the other side",
  UC: "the connection broke",
  DI: "delayed by a fault rule",
  FI: "aborted by a fault rule",
  RL: "rate limited",
  UAEX: "denied by a provider",
  RLSE: "rate limiting failed",
  IH: "a header was not valid",
  SI: "no answer for a while",
  DPE: "the caller broke HTTP",
  UPE: "the answer broke HTTP",
  UMSDR: "reached its longest time",
  OM: "overloaded",
  DF: "the name was not found",
};

export function flagsInWords(flags: string): string {
  return flags.split(",").filter((flag) => flag && flag !== "-").map((flag) => FLAGS[flag] ?? flag).join("; ");
}

/** Status codes and flags, the most frequent first, each with its share. */
export function Codes({ codes, flags }: { codes: Record<string, number>; flags: Record<string, number> }) {
  const total = Object.values(codes).reduce((sum, number) => sum + number, 0);
  const parts = Object.entries(codes).sort((a, b) => b[1] - a[1]);
  const why = Object.entries(flags).filter(([flag]) => flag && flag !== "-").sort((a, b) => b[1] - a[1]);
  if (!total) return <p class="quiet">No answers in this time.</p>;
  return (
    <div class="codes">
      {parts.map(([code, number]) => (
        <div key={code} class={`code-row ${toneOfCode(code)}`}>
          <code title={code === "0" ? "It ended before there was an answer" : undefined}>{code === "0" ? "none" : code}</code>
          <Share of={number / total} label={percent(number / total)} />
          <span class="number">{count(number)}</span>
          <span class="number muted">{percent(number / total)}</span>
        </div>
      ))}
      {why.map(([flag, number]) => (
        <div key={flag} class="flag-row">
          <code>{flag}</code>
          <span>{flagsInWords(flag)}</span>
          <span class="number">{count(number)}</span>
        </div>
      ))}
    </div>
  );
}

export function toneOfCode(code: string | number): "ok" | "warn" | "bad" | "idle" {
  const number = Number(code);
  if (number >= 500 || number === 0) return "bad";
  if (number >= 400) return "warn";
  return number >= 100 ? "ok" : "idle";
}
