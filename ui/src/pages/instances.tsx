/** The instances of a service, each with its sidecar. */
import { restartDialog, weightDialog } from "../actions/instance";
import { useGet } from "../data";
import { span } from "../format";
import { Badge, Dot, Empty, Section, type Tone } from "../parts/basics";
import { Table } from "../parts/table";
import { isAdmin } from "../session";
import type { Instance, Proxy, Service } from "../types";
import { about, to } from "../url";

const TONES: Record<string, Tone> = { healthy: "ok", running: "ok", starting: "idle", draining: "warn", unhealthy: "bad" };

export const toneOfHealth = (health: string): Tone => TONES[health] ?? "idle";

export function Instances({ service, version }: { service: Service; version?: string }) {
  const proxies = useGet<Proxy[]>("v1/proxies");
  const proxyOf = (one: Instance) => proxies.data?.find((proxy) => proxy.id === one.id);
  const rows = service.instances.filter((one) => version === undefined || one.version === version);
  const now = Date.now() / 1000;
  return (
    <Section title="Instances" note={noteOf(rows)} command={`tulle services ${service.name} -n ${service.namespace}`} flush>
      <Table
        name="instances"
        rows={rows}
        order="id"
        keyOf={(one) => one.id}
        columns={[
          { key: "id", label: "Instance", by: (one) => one.id, cell: (one) => <><Dot tone={toneOfHealth(one.health)} /><a href={to(`proxy/${one.id}`)}>{one.id}</a></> },
          { key: "health", label: "Health", by: (one) => one.health, cell: (one) => <span class={`text ${toneOfHealth(one.health)}`}>{one.health}</span> },
          { key: "since", label: "Since", number: true, by: (one) => one.since, cell: (one) => (one.since === null ? "–" : span(now - one.since)) },
          { key: "version", label: "Version", by: (one) => one.version, cell: (one) => (one.version ? <a href={to(about("workload", service.namespace, `${service.name}-${one.version}`))}>{one.version}</a> : "–") },
          { key: "sync", label: "Sidecar", cell: (one) => <SyncOf proxy={proxyOf(one)} /> },
          { key: "address", label: "Address", wide: true, by: (one) => one.address, cell: (one) => <code>{`${one.address}:${one.port}`}</code> },
          { key: "locality", label: "Locality", wide: true, by: (one) => one.locality, cell: (one) => one.locality || "–" },
          { key: "weight", label: "Weight", number: true, by: (one) => one.weight, cell: (one) => one.weight },
          ...(isAdmin.value
            ? [{
                key: "act",
                label: "",
                cell: (one: Instance) => (
                  <span class="row-actions">
                    <button type="button" onClick={() => weightDialog(one)}>Weight</button>
                    <button type="button" onClick={() => restartDialog(one.id)}>Restart Envoy</button>
                  </span>
                ),
              }]
            : []),
        ]}
        empty={<Empty title="No instance runs" command={`tulle run ${service.name} -n ${service.namespace} --port 8000 -- COMMAND`} />}
      />
    </Section>
  );
}

function noteOf(rows: Instance[]): string {
  const number = (health: string) => rows.filter((one) => one.health === health).length;
  return [`${number("healthy")} of ${rows.length} healthy`, ...(number("running") ? [`${number("running")} running: may call, and has not served`] : [])].join(", ");
}

export function SyncOf({ proxy }: { proxy: Proxy | undefined }) {
  if (!proxy) return <span class="muted">–</span>;
  if (proxy.rejected.length) return <Badge tone="bad">rejected</Badge>;
  if (!proxy.connected) return <Badge tone="bad">no session</Badge>;
  return proxy.in_sync ? <Badge tone="ok">in sync</Badge> : <Badge tone="warn">pending</Badge>;
}
