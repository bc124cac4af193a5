/** Who calls a service, and whom it calls. */
import { edgeId, secured, toneOfEdge } from "../graph/health";
import { bytes, duration, percent, rate } from "../format";
import type { GraphEdge } from "../types";
import { about, to } from "../url";
import { Dot } from "./basics";
import { Lock } from "./icons";
import { Table, type Column } from "./table";

export function Neighbours({ id, edges, compact }: { id: string; edges: GraphEdge[]; compact?: boolean }) {
  return (
    <div class={compact ? "neighbours compact" : "neighbours"}>
      <Side name="Called by" edges={edges.filter((edge) => edge.to === id)} other={(edge) => edge.from} compact={compact} none="Nobody has called it in this time." />
      <Side name="Calls" edges={edges.filter((edge) => edge.from === id)} other={(edge) => edge.to} compact={compact} none="It has called nobody in this time." />
    </div>
  );
}

function Side(props: { name: string; edges: GraphEdge[]; other: (edge: GraphEdge) => string; compact?: boolean; none: string }) {
  const { other } = props;
  const columns: Column<GraphEdge>[] = [
    {
      key: "other",
      label: props.name,
      by: other,
      cell: (edge) => (
        <>
          <Dot tone={toneOfEdge(edge)} />
          <Peer id={other(edge)} />
        </>
      ),
    },
    { key: "rate", label: "Rate/s", number: true, by: (edge) => edge.rate, cell: (edge) => (edge.protocol === "tcp" ? `${bytes(edge.sent_rate + edge.received_rate)}/s` : rate(edge.rate)) },
    { key: "success", label: "Success", number: true, by: (edge) => edge.success, cell: (edge) => <span class={`text ${toneOfEdge(edge)}`}>{edge.protocol === "tcp" ? "tcp" : percent(edge.success)}</span> },
    { key: "p95", label: "p95", number: true, by: (edge) => edge.p95, cell: (edge) => duration(edge.p95) },
    { key: "mtls", label: "mTLS", by: (edge) => edge.mtls, cell: (edge) => <Lock share={secured(edge.mtls, edge.success)} /> },
  ];
  if (!props.compact) columns.splice(4, 0, { key: "p99", label: "p99", number: true, wide: true, by: (edge) => edge.p99, cell: (edge) => duration(edge.p99) });
  return (
    <Table
      name={props.name}
      rows={props.edges}
      columns={columns}
      keyOf={edgeId}
      order="-rate"
      empty={<p class="quiet"><b>{props.name}</b> {props.none}</p>}
    />
  );
}

/** A service as traces name it, `web.default`. */
export function Named({ service }: { service: string }) {
  const dot = service.indexOf(".");
  if (dot < 0) return <b>{service}</b>;
  return (
    <>
      <b>{service.slice(0, dot)}</b>
      <span class="muted">{service.slice(dot)}</span>
    </>
  );
}

/** A service's id as a link; what is outside has no page. */
export function Peer({ id }: { id: string }) {
  const [namespace, name] = id.split("/");
  if (!name || namespace === "external" || name === "*") return <span>{id}</span>;
  return (
    <a href={to(about("service", namespace!, name))}>
      {name}
      <small class="muted"> {namespace}</small>
    </a>
  );
}
