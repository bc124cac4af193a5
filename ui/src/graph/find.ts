/** What is written into the graph's find box: part of a name, or conditions such as `err>1%`, `p95>200`, `rate>10`,
 *  `plain`, `mtls`, `external`. All of them must fit. Pure. */
import type { GraphEdge, GraphNode } from "../types";

export interface Found {
  nodes: Set<string>;
  edges: Set<GraphEdge>;
}

type Part = { nodes: GraphNode[]; edges: GraphEdge[] };
type Test = { edge: (edge: GraphEdge) => boolean } | { node: (node: GraphNode) => boolean };

const CONDITION = /^(err|errors|rate|rps|p50|p95|p99)(>=|<=|>|<)(\d+(?:\.\d+)?)(%|ms|s)?$/;

/** Null: nothing is asked. Edges fit if they do, or lead to or from a node of the name. */
export function find(text: string, { nodes, edges }: Part): Found | null {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map(testOf);
  if (!tests.length) return null;
  const onEdges = tests.filter((test) => "edge" in test);
  const onNodes = tests.filter((test) => "node" in test);
  const named = nodes.filter((node) => onNodes.every((test) => test.node(node)));
  const ids = new Set(named.map((node) => node.id));
  const fitting = edges.filter((edge) => {
    const near = !onNodes.length || ids.has(edge.from) || ids.has(edge.to);
    return near && onEdges.every((test) => test.edge(edge));
  });
  if (!onEdges.length) return { nodes: ids, edges: new Set(fitting) };
  return { nodes: new Set(fitting.flatMap((edge) => [edge.from, edge.to])), edges: new Set(fitting) };
}

function testOf(word: string): Test {
  if (word === "plain") return { edge: (edge) => edge.mtls !== null && edge.mtls < 1 };
  if (word === "mtls") return { edge: (edge) => edge.mtls === 1 };
  if (word === "external") return { node: (node) => node.kind === "external" };
  const found = CONDITION.exec(word);
  if (!found) return { node: (node) => `${node.namespace}/${node.name}`.toLowerCase().includes(word) };
  const [, what, sign, number, unit] = found;
  const scale = what!.startsWith("err") ? 0.01 : unit === "s" && what!.startsWith("p") ? 1000 : 1;
  const limit = Number(number) * scale;
  return { edge: (edge) => compared(valueOf(edge, what!), sign!, limit) };
}

function valueOf(edge: GraphEdge, what: string): number | null {
  if (what.startsWith("err")) return edge.success === null ? null : 1 - edge.success;
  if (what.startsWith("r")) return edge.rate;
  return edge[what as "p50" | "p95" | "p99"];
}

function compared(value: number | null, sign: string, limit: number): boolean {
  if (value === null) return false;
  if (sign === ">") return value > limit;
  if (sign === ">=") return value >= limit;
  return sign === "<" ? value < limit : value <= limit;
}
