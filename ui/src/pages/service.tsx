/** One service: how it does, who it is, who calls it, what holds for it. */
import { useGet } from "../data";
import { duration, percent, plural, rate } from "../format";
import { toneOf } from "../graph/health";
import { Badge, Empty, Failure, Section, Skeleton, Tabs, Tile } from "../parts/basics";
import { Codes, figureColumns, nameColumn, Unreached } from "../parts/figures";
import { Icon } from "../parts/icons";
import { Neighbours } from "../parts/neighbours";
import { Signals } from "../parts/signals";
import { Table } from "../parts/table";
import { faultDialog } from "../actions/fault";
import { shiftDialog } from "../actions/shift";
import { instancesText, isShort } from "../instances";
import { figuresQuery, windowOption } from "../range";
import { isAdmin } from "../session";
import type { Declared, Graph, Service, StatRow, Stats } from "../types";
import { about, asked, to } from "../url";
import { Events } from "./events";
import { GuardsOf } from "./guards";
import { Instances } from "./instances";
import { isAbout, ResourceTable } from "./resource_table";

export function ServicePage({ namespace, name }: { namespace: string; name: string }) {
  const services = useGet<Service[]>("v1/services");
  const service = services.data?.find((one) => one.namespace === namespace && one.name === name);
  const of = { service: `${namespace}/${name}`, ...figuresQuery.value };
  const stats = useGet<Stats>("v1/stats", { by: "service", namespace, ...of });
  const row = stats.data?.rows.find((one) => one.name === name && one.namespace === namespace) ?? null;
  const declared = useGet<Declared[]>("v1/resources", {}, 10);
  const own = declared.data?.filter((one) => isAbout(one, namespace, name)) ?? null;
  const tab = asked("tab") || "signals";
  if (services.error && !services.data) return <Failure error={services.error} again={services.again} />;
  if (services.loading) return <Skeleton rows={10} />;
  const path = about("service", namespace, name);
  return (
    <div class="stack">
      <Head namespace={namespace} name={name} service={service} declared={declared.data ?? []} services={services.data ?? []} />
      <Tabs
        current={tab}
        hrefOf={(key) => to(path, { tab: key === "signals" ? undefined : key })}
        tabs={[
          ["signals", "Signals"],
          ["instances", "Instances", service?.instances.length],
          ["routes", "Routes"],
          ["policies", "Policies"],
          ["config", "Config", own?.length],
          ["events", "Events"],
        ]}
      />
      {tab === "signals" && <OnSignals namespace={namespace} name={name} row={row} />}
      {tab === "instances" && (service ? <Instances service={service} /> : <Gone name={name} />)}
      {tab === "routes" && <Routes namespace={namespace} name={name} />}
      {tab === "policies" && <GuardsOf namespace={namespace} name={name} service={service} />}
      {tab === "config" && (
        <Section title="Declared for this service" command={`tulle get all -n ${namespace}`} flush>
          {own === null ? <Skeleton /> : <ResourceTable rows={own} empty={<Empty title="Nothing is declared for it" command={`tulle shift ${name} v1=100 -n ${namespace} --dry-run`}>Calls go to any healthy instance. Rules say otherwise: a VirtualService for routes, a DestinationRule for versions and limits.</Empty>} />}
        </Section>
      )}
      {tab === "events" && <Events names={[name, ...(service?.instances.map((one) => one.id) ?? [])]} />}
    </div>
  );
}

function Head(props: { namespace: string; name: string; service: Service | undefined; declared: Declared[]; services: Service[] }) {
  const { namespace, name, service } = props;
  const id = `${namespace}/${name}`;
  return (
    <header class="head">
      <div>
        <h2>
          {name} <small>{namespace}</small>
        </h2>
        {service && (
          <p>
            <code>{service.host}</code>
            {service.ports.map((port) => <Badge key={port.number}>{`${port.number} ${port.protocol}`}</Badge>)}
            {service.vip && <span class="muted">{service.vip}</span>}
          </p>
        )}
      </div>
      <span class="space" />
      <nav class="links">
        <a href={to("graph", { focus: id, sel: id })}>Graph</a>
        <a href={to("traces", { service: id })}>Traces</a>
        <a href={to("tap", { destination: id })}>Tap</a>
      </nav>
      {isAdmin.value && service && service.ports.length > 0 && (
        <div class="actions">
          <button type="button" onClick={() => shiftDialog(service, props.declared)}><Icon name="shift" size={14} /> Shift traffic</button>
          <button type="button" onClick={() => faultDialog(service, props.declared)}><Icon name="fault" size={14} /> Inject fault</button>
        </div>
      )}
    </header>
  );
}

function Gone({ name }: { name: string }) {
  return <Empty title={`Nobody runs ${name}`} command={`tulle run ${name} --port 8000 -- COMMAND`} />;
}

export function Tiles({ row }: { row: StatRow | null }) {
  const errors = row && row.success !== null ? row.rate * (1 - row.success) : null;
  return (
    <div class="tiles">
      <Tile label="Requests" value={rate(row?.rate)} unit="/s" note={row?.unreached ? <Unreached count={row.unreached} /> : ""} />
      <Tile label="Success" value={percent(row?.success)} tone={toneOf(row?.success, row?.rate)} note={errors === null ? "" : `${rate(errors)} errors/s`} />
      <Tile label="p50" value={duration(row?.p50)} />
      <Tile label="p95" value={duration(row?.p95)} />
      <Tile label="p99" value={duration(row?.p99)} />
      <Tile label="Instances" value={row?.instances ? instancesText(row.instances) : "–"} tone={row && isShort(row.instances) ? "warn" : undefined} note={row?.mtls == null ? "" : `${percent(row.mtls)} mutual TLS`} />
    </div>
  );
}

function OnSignals({ namespace, name, row }: { namespace: string; name: string; row: StatRow | null }) {
  const id = `${namespace}/${name}`;
  const around = useGet<Graph>("v1/graph", { focus: id, hops: 1, ...figuresQuery.value });
  const workloads = useGet<Stats>("v1/stats", { by: "workload", service: id, ...figuresQuery.value });
  return (
    <>
      <Tiles row={row} />
      <Section title="Signals" command={`tulle stat services ${namespace}/${name}${windowOption.value}`}>
        <Signals of={{ service: id }} height={170} />
      </Section>
      <div class="columns">
        <Section title="Callers and callees" command={`tulle edges ${namespace}/${name}${windowOption.value}`} flush>
          {around.data ? <Neighbours id={id} edges={around.data.edges} /> : around.error ? <Failure error={around.error} /> : <Skeleton />}
        </Section>
        <Section title="Answers" note={row ? plural(Math.round(row.requests), "request") : ""}>
          <Codes codes={row?.codes ?? {}} flags={row?.flags ?? {}} />
          {row !== null && row.unreached > 0 && (
            <p class="quiet">
              <Unreached count={row.unreached} />: as its callers' sidecars tell, no instance took {row.unreached === 1 ? "that call" : "these calls"}. What callers got is not among the answers above; <code>Called by</code> counts it.
            </p>
          )}
        </Section>
      </div>
      <Section title="Workloads" command={`tulle stat workloads ${namespace}/${name}${windowOption.value}`} flush>
        {workloads.data ? (
          <Table
            name="workloads"
            rows={workloads.data.rows}
            order="name"
            keyOf={(one) => one.workload ?? one.name}
            columns={[nameColumn("Workload", (one) => (one.workload ? to(about("workload", one.namespace, one.workload)) : null), (one) => one.workload || "none, as it met nobody"), ...figureColumns()]}
            empty={<p class="quiet">No workload of it has been called in this time.</p>}
          />
        ) : workloads.error ? <Failure error={workloads.error} /> : <Skeleton />}
      </Section>
    </>
  );
}

function Routes({ namespace, name }: { namespace: string; name: string }) {
  const routes = useGet<Stats>("v1/stats", { by: "route", service: `${namespace}/${name}`, ...figuresQuery.value });
  return (
    <Section title="Routes" command={`tulle routes ${namespace}/${name}${windowOption.value}`} flush>
      {routes.error && !routes.data ? <Failure error={routes.error} again={routes.again} /> : routes.data ? (
        <Table
          name="routes"
          rows={routes.data.rows}
          order="-rate"
          keyOf={(row) => row.route ?? ""}
          columns={[nameColumn("Route", () => null, (row) => row.route || "default"), ...figureColumns()]}
          empty={<Empty title="No route was taken in this time">Routes are counted by the caller's side, by the document and rule that made them.</Empty>}
        />
      ) : <Skeleton />}
    </Section>
  );
}
