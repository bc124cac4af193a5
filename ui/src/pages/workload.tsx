/** One workload: the instances of one version of a service. */
import { useGet } from "../data";
import { Badge, Empty, Failure, Section, Skeleton, Tabs } from "../parts/basics";
import { figureColumns, nameColumn } from "../parts/figures";
import { Signals } from "../parts/signals";
import { Table } from "../parts/table";
import { figuresQuery, windowOption } from "../range";
import type { Service, Stats } from "../types";
import { about, asked, to } from "../url";
import { EnvoyConfig } from "./envoy_config";
import { Instances } from "./instances";
import { Tiles } from "./service";

/** What a workload is of: `reviews-v2` is the version v2 of reviews, if that has such a version. */
export function partsOf(workload: string, services: Service[], namespace: string): { service: Service; version: string } | null {
  for (const service of services.filter((one) => one.namespace === namespace)) {
    if (workload === service.name) return { service, version: "" };
    const version = workload.startsWith(`${service.name}-`) ? workload.slice(service.name.length + 1) : null;
    if (version && service.instances.some((one) => one.version === version)) return { service, version };
  }
  return null;
}

export function WorkloadPage({ namespace, name }: { namespace: string; name: string }) {
  const services = useGet<Service[]>("v1/services");
  const parts = services.data && partsOf(name, services.data, namespace);
  const id = parts ? `${namespace}/${parts.service.name}` : null;
  const stats = useGet<Stats>(id ? "v1/stats" : null, { by: "workload", service: id, ...figuresQuery.value });
  const proxies = useGet<Stats>(id ? "v1/stats" : null, { by: "proxy", service: id, ...figuresQuery.value });
  if (services.error && !services.data) return <Failure error={services.error} again={services.again} />;
  if (services.loading) return <Skeleton rows={10} />;
  if (!parts) return <Empty title={`No instance of ${name} runs`} command={`tulle services -n ${namespace}`} />;
  const { service, version } = parts;
  const instances = service.instances.filter((one) => one.version === version);
  const number = (health: string) => instances.filter((one) => one.health === health).length;
  const row = stats.data?.rows.find((one) => (one.workload ?? one.name) === name) ?? null;
  const mine = new Set(instances.map((one) => one.id));
  const tab = asked("tab") || "signals";
  return (
    <div class="stack">
      <header class="head">
        <div>
          <h2>{name} <small>{namespace}</small></h2>
          <p>workload of <a href={to(about("service", namespace, service.name))}>{service.name}</a>{version && <Badge>{version}</Badge>}</p>
        </div>
      </header>
      <Tabs current={tab} hrefOf={(key) => to(about("workload", namespace, name), { tab: key === "signals" ? undefined : key })} tabs={[["signals", "Signals"], ["instances", "Instances", instances.length], ["config", "Config in force"]]} />
      {tab === "signals" && (
        <>
          <Tiles row={row && { ...row, instances: { healthy: number("healthy"), total: instances.length, running: number("running") } }} />
          <Section title="Signals" command={`tulle stat workloads ${id}${windowOption.value}`}><Signals of={{ service: id!, workload: name }} height={170} /></Section>
          <Section title="By instance" command={`tulle stat proxies ${id}${windowOption.value}`} flush>
            {proxies.data ? (
              <Table name="proxies" rows={proxies.data.rows.filter((one) => mine.has(one.proxy ?? one.name))} order="name" keyOf={(one) => one.proxy ?? one.name} columns={[nameColumn("Instance", (one) => to(`proxy/${one.proxy ?? one.name}`), (one) => one.proxy ?? one.name), ...figureColumns()]} empty={<p class="quiet">None of them has been called in this time.</p>} />
            ) : proxies.error ? <Failure error={proxies.error} /> : <Skeleton />}
          </Section>
        </>
      )}
      {tab === "instances" && <Instances service={service} version={version} />}
      {tab === "config" && (instances[0] ? <EnvoyConfig id={instances[0].id} /> : <Empty title="No instance runs" />)}
    </div>
  );
}
