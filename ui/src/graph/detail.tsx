/** What is chosen in the graph, beside it: a service, or a call. */
import { bytes, duration, percent, rate } from "../format";
import { instancesText, isShort } from "../instances";
import { Badge, Empty, Facts, Tile } from "../parts/basics";
import { Command } from "../parts/command";
import { Icon, Lock } from "../parts/icons";
import { Codes, Unreached } from "../parts/figures";
import { Neighbours } from "../parts/neighbours";
import { Signals } from "../parts/signals";
import type { GraphEdge, GraphNode } from "../types";
import { about, set, to } from "../url";
import { windowOption } from "../range";
import { edgeId, toneOf, toneOfNode } from "./health";
import type { Shape } from "./shape";

export function Detail({ shape, id }: { shape: Shape; id: string }) {
  const node = shape.nodes.find((one) => one.id === id);
  const edge = shape.edges.find((one) => edgeId(one) === id);
  return (
    <aside class="detail" aria-label="Details">
      <button type="button" class="bare close" aria-label="Close the details" onClick={() => set({ sel: undefined }, true)}>
        <Icon name="close" />
      </button>
      {node ? <OfNode node={node} shape={shape} /> : edge ? <OfEdge edge={edge} /> : <Empty title="Not in this part of the graph" />}
    </aside>
  );
}

function OfNode({ node, shape }: { node: GraphNode; shape: Shape }) {
  const service = node.kind === "service";
  return (
    <>
      <header>
        <small>{node.kind === "service" ? node.namespace : node.kind}</small>
        <h2>{node.name}</h2>
        <p>
          {node.instances && (
            <Badge tone={isShort(node.instances) ? "warn" : "ok"}>{`${instancesText(node.instances)}${node.instances.healthy ? " healthy" : ""}`}</Badge>
          )}
          {node.versions.filter((one) => one.version && one.version !== "unknown").map((one) => (
            <Badge key={one.version} tone={toneOf(one.success, one.rate)} title={`${percent(one.success)} succeed`}>{`${one.version} ${rate(one.rate)}/s`}</Badge>
          ))}
        </p>
        {service && (
          <nav class="links">
            <a href={to(about("service", node.namespace, node.name))}>Open service</a>
            <a href={to("traces", { service: node.id })}>Traces</a>
            <a href={to("tap", { destination: node.id })}>Tap</a>
            <a href={to("graph", { focus: node.id, sel: node.id })}>Focus</a>
          </nav>
        )}
      </header>
      <div class="tiles small">
        <Tile label="Requests" value={rate(node.rate)} unit="/s" note={node.unreached ? <Unreached count={node.unreached} /> : ""} />
        <Tile label="Success" value={percent(node.success)} tone={toneOfNode(node)} />
        <Tile label="p95" value={duration(node.p95)} />
      </div>
      {service && <Signals of={{ service: node.id }} height={118} />}
      <Neighbours id={node.id} edges={shape.edges} compact />
      {service && <Command text={`tulle stat services ${node.id}${windowOption.value}`} />}
    </>
  );
}

function OfEdge({ edge }: { edge: GraphEdge }) {
  const tcp = edge.protocol === "tcp";
  return (
    <>
      <header>
        <small>{edge.protocol}</small>
        <h2>
          {edge.from.split("/").pop()} <span class="muted">→</span> {edge.to.split("/").pop()}
        </h2>
        <p>
          <Lock share={edge.mtls} /> {edge.mtls === null ? "no calls yet" : edge.mtls >= 1 ? "mutual TLS" : edge.mtls > 0 ? "partly mutual TLS" : "plain text"}
        </p>
      </header>
      <div class="tiles small">
        {tcp ? (
          <>
            <Tile label="Sent" value={`${bytes(edge.sent_rate)}/s`} />
            <Tile label="Received" value={`${bytes(edge.received_rate)}/s`} />
          </>
        ) : (
          <>
            <Tile label="Requests" value={rate(edge.rate)} unit="/s" />
            <Tile label="Success" value={percent(edge.success)} tone={toneOf(edge.success, edge.rate)} />
            <Tile label="p95" value={duration(edge.p95)} note={`p50 ${duration(edge.p50)} · p99 ${duration(edge.p99)}`} />
          </>
        )}
      </div>
      {!tcp && edge.to.includes("/") && <Signals of={{ service: edge.to, from: edge.from }} height={118} />}
      <Facts
        facts={[
          ["Caller", edge.identities.from.length ? edge.identities.from.map((one) => <code key={one}>{one}</code>) : "no identity"],
          ["Called", edge.identities.to.length ? edge.identities.to.map((one) => <code key={one}>{one}</code>) : "no identity"],
        ]}
      />
      {!tcp && <Codes codes={edge.codes} flags={edge.flags} />}
      <nav class="links">
        <a href={to("tap", { source: edge.from, destination: edge.to })}>Tap these calls</a>
        <a href={to("policy", { from: edge.from, to: edge.to })}>May it?</a>
      </nav>
    </>
  );
}
