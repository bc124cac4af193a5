/** Which part of a graph is drawn: around one service, with namespaces folded up, and kept from flickering. Pure. */
import { added } from "../instances";
import type { Graph, GraphEdge, GraphNode } from "../types";
import { edgeId } from "./health";

/** More than this is not drawn whole. */
export const MOST_NODES = 60;

export interface Shape {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** What is at most so many calls away from the focus, in either direction. */
export function around(shape: Shape, focus: string, hops: number): Shape {
  const seen = new Set([focus]);
  let border = [focus];
  for (let hop = 0; hop < hops; hop++) {
    const next: string[] = [];
    for (const edge of shape.edges) {
      for (const [near, far] of [[edge.from, edge.to], [edge.to, edge.from]] as const) {
        if (border.includes(near) && !seen.has(far)) {
          seen.add(far);
          next.push(far);
        }
      }
    }
    border = next;
  }
  return only(shape, seen);
}

function only(shape: Shape, ids: Set<string>): Shape {
  return {
    nodes: shape.nodes.filter((node) => ids.has(node.id)),
    edges: shape.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)),
  };
}

export const foldedId = (namespace: string): string => `${namespace}/*`;

/** Each of the namespaces becomes one node; calls within it are not shown. */
export function folded(shape: Shape, namespaces: Set<string>): Shape {
  if (!namespaces.size) return shape;
  const place = new Map<string, string>();
  const groups = new Map<string, GraphNode[]>();
  const nodes: GraphNode[] = [];
  for (const node of shape.nodes) {
    if (node.kind === "service" && namespaces.has(node.namespace)) {
      place.set(node.id, foldedId(node.namespace));
      groups.set(node.namespace, [...(groups.get(node.namespace) ?? []), node]);
    } else nodes.push(node);
  }
  for (const [namespace, members] of groups) nodes.push(asOne(namespace, members));
  const edges = new Map<string, GraphEdge>();
  for (const edge of shape.edges) {
    const moved = { ...edge, from: place.get(edge.from) ?? edge.from, to: place.get(edge.to) ?? edge.to };
    if (moved.from === moved.to && moved.from.endsWith("/*")) continue;
    const before = edges.get(edgeId(moved));
    edges.set(edgeId(moved), before ? together(before, moved) : moved);
  }
  return { nodes, edges: [...edges.values()] };
}

function asOne(namespace: string, members: GraphNode[]): GraphNode {
  const rate = members.reduce((sum, node) => sum + node.rate, 0);
  return {
    id: foldedId(namespace),
    kind: "namespace",
    namespace,
    name: namespace,
    versions: [],
    rate,
    success: weighted(members),
    p95: null,
    members: members.length,
    instances: added(members.map((node) => node.instances)),
    unreached: members.reduce((sum, node) => sum + node.unreached, 0),
  };
}

function weighted(parts: { rate: number; success: number | null }[]): number | null {
  const known = parts.filter((one) => one.success !== null && one.rate > 0);
  const rate = known.reduce((sum, one) => sum + one.rate, 0);
  return rate ? known.reduce((sum, one) => sum + one.rate * one.success!, 0) / rate : null;
}

/** Two edges as one. Percentiles can't be added, so the worse one is told. */
function together(a: GraphEdge, b: GraphEdge): GraphEdge {
  const rate = a.rate + b.rate;
  const worse = (x: number | null, y: number | null) => (x === null ? y : y === null ? x : Math.max(x, y));
  const mtls = a.mtls === null ? b.mtls : b.mtls === null ? a.mtls : rate ? (a.mtls * a.rate + b.mtls * b.rate) / rate : Math.min(a.mtls, b.mtls);
  const sum = (x: Record<string, number>, y: Record<string, number>) => {
    const all = { ...x };
    for (const [key, value] of Object.entries(y)) all[key] = (all[key] ?? 0) + value;
    return all;
  };
  return {
    ...a,
    rate,
    success: weighted([a, b]),
    p50: worse(a.p50, b.p50),
    p95: worse(a.p95, b.p95),
    p99: worse(a.p99, b.p99),
    mtls,
    sent_rate: a.sent_rate + b.sent_rate,
    received_rate: a.received_rate + b.received_rate,
    identities: {
      from: [...new Set([...a.identities.from, ...b.identities.from])],
      to: [...new Set([...a.identities.to, ...b.identities.to])],
    },
    codes: sum(a.codes, b.codes),
    flags: sum(a.flags, b.flags),
  };
}

const FORGOTTEN_AFTER = 600;

/** Keeps what has just gone quiet, without figures, for ten minutes: the drawing would jump otherwise. */
export class Memory {
  private nodes = new Map<string, { node: GraphNode; seen: number }>();
  private edges = new Map<string, { edge: GraphEdge; seen: number }>();

  remembered(graph: Graph): Shape {
    const now = graph.at;
    for (const node of graph.nodes) this.nodes.set(node.id, { node, seen: now });
    for (const edge of graph.edges) this.edges.set(edgeId(edge), { edge, seen: now });
    for (const [id, { seen }] of this.nodes) if (Math.abs(now - seen) > FORGOTTEN_AFTER) this.nodes.delete(id);
    for (const [id, { edge, seen }] of this.edges) {
      const stays = Math.abs(now - seen) <= FORGOTTEN_AFTER && this.nodes.has(edge.from) && this.nodes.has(edge.to);
      if (!stays) this.edges.delete(id);
    }
    return {
      nodes: [...this.nodes.values()].map(({ node, seen }) => (seen === now ? node : quietNode(node))).sort(byId),
      edges: [...this.edges.values()]
        .map(({ edge, seen }) => (seen === now ? edge : quietEdge(edge)))
        .sort((a, b) => (edgeId(a) < edgeId(b) ? -1 : 1)),
    };
  }
}

const byId = (a: GraphNode, b: GraphNode): number => (a.id < b.id ? -1 : 1);

function quietNode(node: GraphNode): GraphNode {
  return { ...node, rate: 0, success: null, p95: null };
}

function quietEdge(edge: GraphEdge): GraphEdge {
  return { ...edge, rate: 0, success: null, p50: null, p95: null, p99: null, sent_rate: 0, received_rate: 0 };
}
