/** The mesh at a glance: its golden signals, and what is wrong now. */
import { useMemo } from "preact/hooks";
import { useGet } from "../data";
import { duration, percent, plural, rate } from "../format";
import { useHistory } from "../history";
import { added } from "../instances";
import { graph, useGraph } from "../live";
import { Dot, Empty, Failure, Section, Skeleton, Tile, type Tone } from "../parts/basics";
import { Spark } from "../parts/chart";
import { Command, inNamespace } from "../parts/command";
import { figureColumns } from "../parts/figures";
import { Signals } from "../parts/signals";
import { Table } from "../parts/table";
import { toneOf } from "../graph/health";
import { figuresQuery, windowOption } from "../range";
import { send } from "../api";
import { namespace, to } from "../url";
import { troubles, type Trouble } from "../wrong";
import type { Ca, Finding, Graph, Proxy, Service, Stats, Status } from "../types";
import { serviceColumns } from "./services";
import { usePost } from "./posted";

const SATURATED = ["UO", "RL", "RLSE", "OM"]; // what limits have turned away

export function Overview() {
  useGraph();
  const ns = namespace.value;
  const status = useGet<Status>("v1/status");
  const services = useGet<Service[]>("v1/services");
  const proxies = useGet<Proxy[]>("v1/proxies");
  const stats = useGet<Stats>("v1/stats", { by: "service", namespace: ns, ...figuresQuery.value });
  const ca = useGet<Ca>("v1/ca", {}, 60);
  const findings = usePost<Finding[]>(() => send("POST", "v1/analysis", undefined, { all: true }), 15);
  const mine = <T extends { namespace: string }>(all: T[] | null) => all && all.filter((one) => !ns || one.namespace === ns);
  const wrong = useMemo(
    () =>
      troubles({
        status: status.data,
        services: mine(services.data),
        proxies: mine(proxies.data),
        findings: mine(findings),
        ca: ca.data,
        graph: graph.value,
        now: Date.now() / 1000,
      }),
    [status.data, services.data, proxies.data, findings, ca.data, graph.value, ns],
  );
  if (status.error && !status.data) return <Failure error={status.error} again={status.again} />;
  if (services.data?.length === 0) return <Welcome />;
  const loading = services.loading || proxies.loading;
  return (
    <div class="stack">
      <Tiles stats={stats.data} proxies={mine(proxies.data)} services={mine(services.data)} current={graph.value} />
      <Section title="What is wrong now" note={loading ? "" : wrong.length ? plural(wrong.length, "line") : ""} command="tulle status" flush>
        {loading ? <Skeleton rows={3} /> : <Wrong troubles={wrong} />}
      </Section>
      <Section title="Calls in the mesh" command={`tulle stat services${inNamespace(ns)}${windowOption.value}`}>
        <Signals of={{ namespace: ns }} height={150} />
      </Section>
      <Section title="Services" note={stats.data ? String(stats.data.rows.length) : ""} command={`tulle stat services${inNamespace(ns)}${windowOption.value}`} actions={<a class="more" href={to("services")}>All services</a>} flush>
        {stats.error && !stats.data ? <Failure error={stats.error} again={stats.again} /> : stats.data ? (
          <Table name="services" rows={worst(stats.data)} columns={[...serviceColumns(), ...figureColumns()]} keyOf={(row) => `${row.namespace}/${row.name}`} empty={<Empty title="No figures yet">They come as soon as a service is called.</Empty>} />
        ) : <Skeleton />}
      </Section>
    </div>
  );
}

/** Those that fail most, then those that are called most. */
function worst({ rows }: Stats): Stats["rows"] {
  const errors = (row: Stats["rows"][number]) => (row.success === null ? 0 : row.rate * (1 - row.success));
  return [...rows].sort((a, b) => errors(b) - errors(a) || b.rate - a.rate).slice(0, 8);
}

function Tiles({ stats, proxies, services, current }: { stats: Stats | null; proxies: Proxy[] | null; services: Service[] | null; current: Graph | null }) {
  const ns = namespace.value;
  const { series } = useHistory({ namespace: ns });
  const rows = stats?.rows ?? [];
  const requests = rows.reduce((sum, row) => sum + row.requests, 0);
  const perSecond = rows.reduce((sum, row) => sum + row.rate, 0);
  const good = rows.reduce((sum, row) => sum + (row.success ?? 1) * row.requests, 0);
  const success = requests ? good / requests : null;
  const turnedAway = rows.reduce((sum, row) => sum + SATURATED.reduce((part, flag) => part + (row.flags[flag] ?? 0), 0), 0);
  const p95 = lastOf(series?.p95) ?? mostOf(rows.map((row) => row.p95));
  const edges = (current?.edges ?? []).filter((edge) => edge.mtls !== null && current!.nodes.find((node) => node.id === edge.to)?.kind === "service");
  const weight = (edge: (typeof edges)[number]) => edge.rate || 0.001;
  const all = edges.reduce((sum, edge) => sum + weight(edge), 0);
  const mtls = all ? edges.reduce((sum, edge) => sum + weight(edge) * edge.mtls!, 0) / all : null;
  const plain = edges.filter((edge) => edge.mtls! < 1).length;
  const synced = proxies?.filter((proxy) => proxy.in_sync && proxy.connected).length ?? 0;
  const there = added(services?.map((one) => ({ healthy: one.healthy, total: one.instances.length, running: one.running })) ?? []);
  const tone: Tone = !proxies || synced === proxies.length ? "ok" : "bad";
  return (
    <div class="tiles" data-tiles>
      <Tile label="Requests" value={stats ? rate(perSecond) : "–"} unit="/s" href={to("graph")}>
        {series && <Spark values={series.rate} />}
      </Tile>
      <Tile label="Success" value={percent(success)} tone={toneOf(success, perSecond)} note={success === null ? "no calls" : `${rate(perSecond * (1 - success))} errors/s`} href={to("services", { "sort-services": "success" })}>
        {series && <Spark values={series.errors} tone="bad" />}
      </Tile>
      <Tile label="Latency p95" value={duration(p95)} href={to("services", { "sort-services": "-p95" })}>
        {series && <Spark values={series.p95} tone="idle" />}
      </Tile>
      <Tile label="Saturation" value={requests ? percent(turnedAway / requests) : "–"} tone={turnedAway ? "warn" : undefined} note="turned away by limits" />
      <Tile label="Mutual TLS" value={percent(mtls)} tone={mtls === null ? undefined : plain ? "warn" : "ok"} note={mtls === null ? "no calls" : plain ? plural(plain, "plain call path") : "all calls"} href={to("policy")} />
      <Tile label="Proxies in sync" value={proxies ? `${synced}/${proxies.length}` : "–"} tone={proxies ? tone : undefined} note={there ? `${there.healthy}/${there.total - there.running} healthy${there.running ? `, ${there.running} running` : ""}` : ""} href={to("proxies")} />
    </div>
  );
}

function lastOf(values: (number | null)[] | undefined): number | null {
  return values?.findLast((value) => value !== null) ?? null;
}

function mostOf(values: (number | null)[]): number | null {
  const known = values.filter((value): value is number => value !== null);
  return known.length ? Math.max(...known) : null;
}

function Wrong({ troubles }: { troubles: Trouble[] }) {
  if (!troubles.length) return <p class="fine"><Dot tone="ok" />Nothing. Calls succeed, proxies are in sync, the configuration does what it says.</p>;
  return (
    <ul class="wrong">
      {troubles.slice(0, 30).map((one) => (
        <li key={one.key}>
          <Dot tone={one.level} />
          <a href={to(one.path, one.query)}>{one.text}</a>
          {one.more && <small class="muted">{one.more}</small>}
          <span class="space" />
          <Command text={one.command} />
        </li>
      ))}
      {troubles.length > 30 && <li class="muted">and {troubles.length - 30} more</li>}
    </ul>
  );
}

function Welcome() {
  return (
    <Empty title="The mesh is up, and nobody is in it yet" command="tulle run web --port 8000 -- python -m http.server 8000">
      Start a program as a service; others then reach it as <code>http://web/</code>. A folder with a <code>Procfile</code> or <code>tulle.yaml</code> starts as a whole with <code>tulle dev</code>.
    </Empty>
  );
}
