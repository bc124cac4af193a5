/** The graph as a list: the same for those who can't see a drawing, or would rather read. */
import { duration, percent, rate } from "../format";
import { Dot } from "../parts/basics";
import { Lock } from "../parts/icons";
import { Table } from "../parts/table";
import type { Found } from "./find";
import { edgeId, toneOfEdge } from "./health";
import type { Chosen } from "./drawing";
import type { Shape } from "./shape";

export function Listing({ shape, found, chosen }: { shape: Shape; found: Found | null; chosen: Chosen }) {
  const rows = found ? shape.edges.filter((edge) => found.edges.has(edge)) : shape.edges;
  return (
    <Table
      name="edges"
      rows={rows}
      keyOf={edgeId}
      order="-rate"
      empty={<p class="quiet">No calls that fit.</p>}
      columns={[
        { key: "from", label: "From", by: (edge) => edge.from, cell: (edge) => <button type="button" class="link" onClick={() => chosen.onSelect(edge.from)}><Dot tone={toneOfEdge(edge)} />{edge.from}</button> },
        { key: "to", label: "To", by: (edge) => edge.to, cell: (edge) => <button type="button" class="link" onClick={() => chosen.onSelect(edge.to)}>{edge.to}</button> },
        { key: "protocol", label: "Protocol", by: (edge) => edge.protocol, cell: (edge) => edge.protocol, wide: true },
        { key: "rate", label: "Rate/s", number: true, by: (edge) => edge.rate, cell: (edge) => rate(edge.rate) },
        { key: "errors", label: "Errors", number: true, by: (edge) => (edge.success === null ? null : 1 - edge.success), cell: (edge) => <span class={`text ${toneOfEdge(edge)}`}>{percent(edge.success === null ? null : 1 - edge.success)}</span> },
        { key: "p50", label: "p50", number: true, wide: true, by: (edge) => edge.p50, cell: (edge) => duration(edge.p50) },
        { key: "p95", label: "p95", number: true, by: (edge) => edge.p95, cell: (edge) => duration(edge.p95) },
        { key: "p99", label: "p99", number: true, wide: true, by: (edge) => edge.p99, cell: (edge) => duration(edge.p99) },
        { key: "mtls", label: "mTLS", by: (edge) => edge.mtls, cell: (edge) => <Lock share={edge.mtls} /> },
      ]}
    />
  );
}
