/** All services, with their figures. */
import { useGet } from "../data";
import { instancesText, isShort } from "../instances";
import { Badge, Empty, Failure, Section, Skeleton } from "../parts/basics";
import { inNamespace } from "../parts/command";
import { figureColumns, nameColumn } from "../parts/figures";
import { Search } from "../parts/search";
import { Table, type Column } from "../parts/table";
import { figuresQuery, windowOption } from "../range";
import type { Service, StatRow, Stats } from "../types";
import { about, asked, namespace, to } from "../url";

export function serviceColumns(): Column<StatRow>[] {
  return [
    nameColumn("Service", (row) => (row.kind === "service" ? to(about("service", row.namespace, row.name)) : null), (row) => row.name),
    { key: "namespace", label: "Namespace", wide: true, by: (row) => row.namespace, cell: (row) => <span class="muted">{row.namespace}</span> },
    {
      key: "instances",
      label: "Instances",
      number: true,
      by: (row) => row.instances?.total,
      cell: ({ instances }) => (instances ? <span class={isShort(instances) || !instances.total ? "text warn" : undefined}>{instancesText(instances)}</span> : "–"),
    },
  ];
}

export function ServicesPage() {
  const ns = namespace.value;
  const stats = useGet<Stats>("v1/stats", { by: "service", namespace: ns, ...figuresQuery.value });
  const services = useGet<Service[]>("v1/services");
  const words = asked("q").toLowerCase();
  const rows = together(stats.data, services.data, ns).filter((row) => `${row.namespace}/${row.name}`.includes(words));
  const error = stats.error ?? services.error;
  return (
    <Section title="Services" note={services.data ? String(rows.length) : ""} command={`tulle stat services${inNamespace(ns)}${windowOption.value}`} actions={<Search placeholder="Search services" />} flush>
      {error && !services.data ? <Failure error={error} again={services.again} /> : services.loading ? <Skeleton rows={8} /> : (
        <Table
          name="services"
          rows={rows}
          order="name"
          keyOf={(row) => `${row.namespace}/${row.name}`}
          columns={[...serviceColumns(), versionsColumn(services.data ?? []), ...figureColumns()]}
          empty={words ? <Empty title={`No service is called like "${words}"`} /> : <Empty title="No service yet" command="tulle run web --port 8000 -- python -m http.server 8000">Programs that run in the mesh are listed here.</Empty>}
        />
      )}
    </Section>
  );
}

function versionsColumn(services: Service[]): Column<StatRow> {
  return {
    key: "versions",
    label: "Versions",
    wide: true,
    cell: (row) => {
      const service = services.find((one) => one.namespace === row.namespace && one.name === row.name);
      const versions = [...new Set(service?.instances.map((one) => one.version).filter(Boolean))].sort();
      return versions.length ? versions.map((version) => <Badge key={version}>{version}</Badge>) : <span class="muted">–</span>;
    },
  };
}

/** Services that nobody has called are listed as well, without figures. */
function together(stats: Stats | null, services: Service[] | null, ns: string): StatRow[] {
  const rows = [...(stats?.rows ?? [])];
  const known = new Set(rows.map((row) => `${row.namespace}/${row.name}`));
  for (const one of services ?? []) {
    if (known.has(`${one.namespace}/${one.name}`) || (ns && one.namespace !== ns)) continue;
    rows.push({
      kind: "service", namespace: one.namespace, name: one.name, requests: 0, rate: 0, success: null, p50: null, p95: null, p99: null,
      mtls: null, codes: {}, flags: {}, tcp: null, instances: { healthy: one.healthy, total: one.instances.length, running: one.running }, unreached: 0,
    });
  }
  return rows;
}
