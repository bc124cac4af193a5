/** The drawing: frames of namespaces, calls, their figures, services. */
import { useMemo, useRef, useState } from "preact/hooks";
import { bytes, duration, percent, rate } from "../format";
import { isShort } from "../instances";
import { Icon } from "../parts/icons";
import type { GraphEdge, GraphNode, Instances } from "../types";
import type { Found } from "./find";
import { edgeId, toneOfEdge, toneOfNode } from "./health";
import { LABEL, layout, versionsOf, type Box, type Layout, type Point } from "./layout";
import { usePanZoom } from "./panzoom";
import type { Shape } from "./shape";

/** More calls than this show their figures only when they are pointed at, or fail. */
const MOST_LABELS = 40;

export interface Chosen {
  selected: string;
  onSelect: (id: string) => void;
  onFocus: (id: string) => void;
  onFold: (namespace: string) => void;
}

export function Drawing({ shape, found, chosen, fitKey }: { shape: Shape; found: Found | null; chosen: Chosen; fitKey: string }) {
  const svg = useRef<SVGSVGElement>(null);
  const [pointed, setPointed] = useState("");
  const direction = useRef<"LR" | "TB" | undefined>(undefined);
  const [aspect, setAspect] = useState(1.5);
  const labels = shape.edges.length <= MOST_LABELS;
  const key = shape.nodes.map((node) => node.id).join() + shape.edges.map(edgeId).join();
  const drawn = useMemo(() => layout(shape, aspect, labels, direction.current), [key, aspect, labels]);
  direction.current = drawn.direction;
  const looked = drawn.nodes.get(chosen.selected) ?? drawn.edges.get(chosen.selected)?.label ?? null;
  const moving = usePanZoom(svg, drawn, fitKey + drawn.direction, looked);
  const wanted = moving.box.height ? Math.round((moving.box.width / moving.box.height) * 4) / 4 : aspect;
  if (wanted !== aspect) setAspect(wanted);

  const near = pointed || chosen.selected;
  const dimmed = (edge: GraphEdge) =>
    found ? !found.edges.has(edge) : near ? edgeId(edge) !== near && edge.from !== near && edge.to !== near && near !== "" : false;
  const neighbours = new Set<string>();
  if (near) for (const edge of shape.edges) if (edgeId(edge) === near || edge.from === near || edge.to === near) neighbours.add(edge.from).add(edge.to);
  const dimmedNode = (node: GraphNode) => (found ? !found.nodes.has(node.id) : !!near && neighbours.size > 0 && !neighbours.has(node.id) && node.id !== near);
  const { view } = moving;

  const arrows = (event: KeyboardEvent) => {
    if (event.key === "+" || event.key === "=") moving.zoom(1.25);
    else if (event.key === "-") moving.zoom(0.8);
    else if (event.key === "0") moving.fit();
    else if (event.key.startsWith("Arrow")) toward(svg.current!, drawn, event.key);
    else return;
    event.preventDefault();
  };

  return (
    <div class="drawing">
      <svg
        ref={svg}
        role="group"
        aria-label="Services and their calls. Tab goes from one to the next, arrows to a neighbour."
        {...moving.handlers}
        onKeyDown={arrows}
        onClick={(event) => event.target === svg.current && !moving.dragged() && chosen.onSelect("")}
      >
        <defs>
          {["ok", "warn", "bad", "idle"].map((tone) => (
            <marker key={tone} id={`arrow-${tone}`} class={`arrow ${tone}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
              <path d="M0.5,0.8L7.5,4L0.5,7.2z" />
            </marker>
          ))}
        </defs>
        <g transform={`translate(${view.x.toFixed(2)},${view.y.toFixed(2)}) scale(${view.k.toFixed(4)})`}>
          {drawn.groups.map(({ namespace, box }) => (
            <Frame key={namespace} namespace={namespace} box={box} onFold={chosen.onFold} />
          ))}
          {shape.edges.map((edge) => {
            const at = drawn.edges.get(edgeId(edge));
            return at && <Line key={edgeId(edge)} edge={edge} path={at.path} dim={dimmed(edge)} strong={edgeId(edge) === near || (!!near && !dimmed(edge))} point={setPointed} chosen={chosen} />;
          })}
          {shape.edges.map((edge) => {
            const id = edgeId(edge);
            const at = drawn.edges.get(id);
            const tone = toneOfEdge(edge);
            const shown = labels || (near && !dimmed(edge)) || tone === "bad";
            return at && shown && <Label key={id} edge={edge} at={at.label} dim={dimmed(edge)} />;
          })}
          {shape.nodes.map((node) => {
            const box = drawn.nodes.get(node.id);
            return box && <Node key={node.id} node={node} box={box} dim={dimmedNode(node)} chosen={chosen} dragged={moving.dragged} point={setPointed} />;
          })}
        </g>
      </svg>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" onClick={() => moving.zoom(1.3)} aria-label="Zoom in" title="Zoom in (+)"><Icon name="plus" /></button>
        <button type="button" onClick={() => moving.zoom(0.77)} aria-label="Zoom out" title="Zoom out (-)"><Icon name="minus" /></button>
        <button type="button" onClick={moving.fit} aria-label="Fit" title="Fit (0)"><Icon name="fit" /></button>
      </div>
    </div>
  );
}

/** Moves the keyboard's focus to the nearest service in the direction of an arrow. */
function toward(svg: SVGSVGElement, drawn: Layout, key: string): void {
  const from = drawn.nodes.get(document.activeElement?.getAttribute("data-node") ?? "");
  if (!from) return svg.querySelector<SVGGElement>("[data-node]")?.focus();
  let best: [number, string] | null = null;
  for (const [id, box] of drawn.nodes) {
    const [dx, dy] = [box.x - from.x, box.y - from.y];
    const along = { ArrowLeft: -dx, ArrowRight: dx, ArrowUp: -dy, ArrowDown: dy }[key]!;
    const aside = key === "ArrowLeft" || key === "ArrowRight" ? Math.abs(dy) : Math.abs(dx);
    if (along > 1 && (!best || along + 2 * aside < best[0])) best = [along + 2 * aside, id];
  }
  if (best) svg.querySelector<SVGGElement>(`[data-node="${CSS.escape(best[1])}"]`)?.focus();
}

function Frame({ namespace, box, onFold }: { namespace: string; box: Box; onFold: (namespace: string) => void }) {
  const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
  return (
    <g class="frame">
      <rect x={left} y={top} width={box.width} height={box.height} rx={12} />
      <g class="fold" role="button" tabindex={0} aria-label={`Fold the namespace ${namespace}`} onClick={() => onFold(namespace)} onKeyDown={onEnter(() => onFold(namespace))}>
        <title>Fold this namespace</title>
        <rect x={left + 8} y={top + 5} width={namespace.length * 6.6 + 24} height={18} rx={5} />
        <path d={`M${left + 14},${top + 12}l3.5,3.5l3.5,-3.5`} />
        <text x={left + 26} y={top + 18}>{namespace}</text>
      </g>
    </g>
  );
}

function onEnter(run: () => void): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    run();
  };
}

function Line(props: { edge: GraphEdge; path: string; dim: boolean; strong: boolean; point: (id: string) => void; chosen: Chosen }) {
  const { edge, path } = props;
  const [id, tone] = [edgeId(edge), toneOfEdge(edge)];
  const width = 1.2 + Math.min(3, Math.log10(1 + Math.max(edge.rate, (edge.sent_rate + edge.received_rate) / 20_000)) * 1.1);
  return (
    <g
      class={`edge ${tone} ${props.dim ? "dim" : ""} ${props.strong ? "strong" : ""}`}
      data-edge={id}
      onPointerEnter={() => props.point(id)}
      onPointerLeave={() => props.point("")}
      onClick={() => props.chosen.onSelect(id)}
    >
      <title>{described(edge)}</title>
      <path class="reach" d={path} />
      <path class="line" d={path} style={{ strokeWidth: `${width.toFixed(1)}px` }} marker-end={`url(#arrow-${tone})`} />
      {props.strong && edge.rate > 0 && <path class="flow" d={path} style={{ strokeWidth: `${(width + 1.2).toFixed(1)}px` }} />}
    </g>
  );
}

/** The call in words, with both identities. */
export function described(edge: GraphEdge): string {
  const security = edge.mtls === null ? "no calls yet" : edge.mtls >= 1 ? "mutual TLS" : edge.mtls > 0 ? `${Math.floor(edge.mtls * 100)}% mutual TLS` : "plain text";
  return [
    `${edge.from} → ${edge.to} (${edge.protocol}, ${security})`,
    edge.protocol === "tcp" ? "" : `${rate(edge.rate)} requests/s, ${percent(edge.success)} succeed, p95 ${duration(edge.p95)}`,
    edge.identities.from.length ? `from ${edge.identities.from.join(", ")}` : "",
    edge.identities.to.length ? `to ${edge.identities.to.join(", ")}` : "",
  ].filter(Boolean).join("\n");
}

function Label({ edge, at, dim }: { edge: GraphEdge; at: Point; dim: boolean }) {
  const tcp = edge.protocol === "tcp";
  const errors = edge.success === null ? 0 : 1 - edge.success;
  const first = tcp ? `${bytes(edge.sent_rate + edge.received_rate)}/s` : edge.rate > 0 ? `${rate(edge.rate)}/s` : "idle";
  const second = tcp ? "tcp" : errors > 0.0005 ? `${percent(errors)} err` : duration(edge.p95);
  const closed = edge.mtls !== null && edge.mtls >= 1;
  const left = -LABEL.width / 2;
  return (
    <g class={`label ${toneOfEdge(edge)} ${errors > 0.0005 ? "failing" : ""} ${dim ? "dim" : ""}`} transform={`translate(${at.x.toFixed(1)},${at.y.toFixed(1)})`}>
      <rect class="back" x={left + 2} y={-LABEL.height / 2 + 1} width={LABEL.width - 4} height={LABEL.height - 2} rx={7} />
      {edge.mtls !== null && (
        <g class={closed ? "lock closed" : "lock open"} transform={`translate(${left + 9},-7)`}>
          <rect x={0} y={5.5} width={9} height={7} rx={1.5} />
          <path d={closed ? "M2,5.5V3.8a2.5,2.5 0 0 1 5,0V5.5" : "M2,5.5V3.2a2.5,2.5 0 0 1 4.9,-.6"} />
        </g>
      )}
      <text x={7} y={-2}>{first}</text>
      <text x={7} y={11} class="second">{second}</text>
    </g>
  );
}

/** There is little room: `2/2` of those that are to take calls. */
const inNode = ({ healthy, total, running }: Instances) => (running && running === total ? `${running} running` : `${healthy}/${total - running}`);

function Node(props: { node: GraphNode; box: Box; dim: boolean; chosen: Chosen; dragged: () => boolean; point: (id: string) => void }) {
  const { node, box, chosen } = props;
  const tone = toneOfNode(node);
  const [width, height] = [box.width, box.height];
  const errors = node.success === null ? 0 : 1 - node.success;
  const short = isShort(node.instances);
  const versions = versionsOf(node);
  const select = () => (node.kind === "namespace" ? chosen.onFold(node.namespace) : chosen.onSelect(node.id));
  const room = Math.floor((width - 36 - versions.length * 6.8) / 8.2);
  const name = node.name.length > room ? `${node.name.slice(0, Math.max(4, room - 1))}…` : node.name;
  const figures = node.rate > 0 ? `${rate(node.rate)}/s` : node.kind === "namespace" ? `${node.members} services` : node.kind === "unknown" ? "not in the mesh" : "no calls in";
  return (
    <g
      class={`node ${node.kind} ${tone} ${chosen.selected === node.id ? "selected" : ""} ${props.dim ? "dim" : ""}`}
      data-node={node.id}
      role="button"
      tabindex={0}
      aria-label={`${node.name}, ${figures}, ${percent(node.success)} succeed${short ? `, ${node.instances!.healthy} of ${node.instances!.total} instances` : ""}`}
      aria-pressed={chosen.selected === node.id}
      transform={`translate(${(box.x - width / 2).toFixed(1)},${(box.y - height / 2).toFixed(1)})`}
      onClick={() => !props.dragged() && select()}
      onDblClick={() => chosen.onFocus(node.id)}
      onKeyDown={onEnter(select)}
      onPointerEnter={() => props.point(node.id)}
      onPointerLeave={() => props.point("")}
    >
      <title>{`${node.namespace ? `${node.namespace}/` : ""}${node.name}`}</title>
      {node.kind === "namespace" && <rect class="behind" x={4} y={-4} width={width - 8} height={height} rx={9} />}
      <rect class="body" width={width} height={height} rx={9} />
      <rect class="bar" x={8} y={11} width={4} height={height - 22} rx={2} />
      <text class="name" x={21} y={22}>{name}</text>
      <text class="figures" x={21} y={39}>
        {figures}
        {errors > 0.0005 && <tspan class="errors"> {percent(errors)}</tspan>}
      </text>
      <text class="right" x={width - 11} y={21}>{versions}</text>
      {node.kind === "external" && <text class="right" x={width - 11} y={39}>external</text>}
      {node.instances && (
        <text class={`right ${short ? "short" : ""}`} x={width - 11} y={39}>{inNode(node.instances)}</text>
      )}
    </g>
  );
}
