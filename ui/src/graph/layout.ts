/** Where nodes and edges are drawn. The same graph always gets the same drawing. Pure. */
import dagre from "@dagrejs/dagre";
import { edgeId } from "./health";
import type { Shape } from "./shape";
import type { GraphNode } from "../types";

export const NODE_HEIGHT = 52;
export const LABEL = { width: 88, height: 32 };
const CHARACTER = 8.7;
const SMALL_CHARACTER = 6.8;
const NARROWEST = 172;
const WIDEST = 260;

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

export interface Layout {
  direction: "LR" | "TB";
  width: number;
  height: number;
  nodes: Map<string, Box>;
  edges: Map<string, { path: string; label: Point }>;
  groups: { namespace: string; box: Box }[];
}

/** right: what stands beside the name. The figures below it change, and must not move anything. */
export function widthOf(name: string, right: string): number {
  const beside = right ? right.length * SMALL_CHARACTER + 10 : 0;
  return Math.round(Math.min(WIDEST, Math.max(NARROWEST, 32 + name.length * CHARACTER + beside)));
}

/** What Istio's labels say where there is no version. */
const isNamed = (version: string): boolean => !["", "unknown", "latest"].includes(version);

/** What is told of a service's versions beside its name. */
export function versionsOf(node: GraphNode): string {
  const all = node.versions.map((one) => one.version).filter(isNamed);
  return all.length > 2 || all.join(" ").length > 12 ? `${all.length} versions` : all.join(" ");
}

/** Both directions are tried, and the one drawn larger is kept. before: stays if the other is not much better. */
export function layout(shape: Shape, aspect: number, labels: boolean, before?: "LR" | "TB"): Layout {
  const size = (one: Layout) => Math.min(1.6, aspect / one.width * 1000, 1000 / one.height) * (one.direction === before ? 1.2 : 1);
  const [a, b] = [inDirection(shape, "LR", labels), inDirection(shape, "TB", labels)];
  return size(a) >= size(b) ? a : b;
}

function inDirection(shape: Shape, direction: "LR" | "TB", labels: boolean): Layout {
  const graph = new dagre.graphlib.Graph({ multigraph: true, compound: true });
  const across = direction === "LR";
  graph.setGraph({
    rankdir: direction,
    ranksep: across ? (labels ? 64 : 90) : labels ? 44 : 60,
    nodesep: (across ? 22 : 28) + (groupsOf(shape).size ? 10 : 0),
    edgesep: 14,
    marginx: 20,
    marginy: 20,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const grouped = groupsOf(shape);
  for (const namespace of grouped) graph.setNode(groupName(namespace), {});
  for (const node of shape.nodes) {
    graph.setNode(node.id, { width: widthOf(node.name, versionsOf(node)), height: NODE_HEIGHT });
    if (node.kind === "service" && grouped.has(node.namespace)) graph.setParent(node.id, groupName(node.namespace));
  }
  const size = labels ? { ...LABEL, labelpos: "c" } : { width: 0, height: 0 };
  for (const edge of shape.edges) if (edge.from !== edge.to) graph.setEdge(edge.from, edge.to, { ...size }, edgeId(edge));
  dagre.layout(graph);
  return read(graph, shape, direction, grouped);
}

const groupName = (namespace: string): string => `group:${namespace}`;

/** Namespaces get a frame if there are several. */
function groupsOf(shape: Shape): Set<string> {
  const all = new Set(shape.nodes.filter((node) => node.kind === "service").map((node) => node.namespace));
  const several = all.size + new Set(shape.nodes.filter((node) => node.kind === "namespace").map((n) => n.id)).size > 1;
  return several ? all : new Set();
}

interface Drawn extends Box {
  points?: Point[];
}

function read(graph: InstanceType<typeof dagre.graphlib.Graph>, shape: Shape, direction: "LR" | "TB", grouped: Set<string>): Layout {
  const nodes = new Map<string, Box>();
  for (const { id } of shape.nodes) nodes.set(id, boxOf(graph.node(id) as unknown as Drawn));
  const edges = new Map<string, { path: string; label: Point }>();
  for (const edge of shape.edges) {
    const id = edgeId(edge);
    const own = nodes.get(edge.from)!;
    if (edge.from === edge.to) edges.set(id, loop(own));
    else {
      const drawn = graph.edge({ v: edge.from, w: edge.to, name: id }) as unknown as Drawn & { points: Point[] };
      const points = docked(drawn.points, own, nodes.get(edge.to)!, direction);
      edges.set(id, { path: curve(points, direction), label: drawn.x === undefined ? points[points.length >> 1]! : { x: drawn.x, y: drawn.y } });
    }
  }
  const groups = [...grouped].map((namespace) => ({ namespace, box: framed(graph.node(groupName(namespace)) as unknown as Drawn) }));
  const label = graph.graph() as unknown as { width: number; height: number };
  return { direction, width: label.width, height: label.height, nodes, edges, groups };
}

function boxOf({ x, y, width, height }: Drawn): Box {
  return { x, y, width, height };
}

/** With room for the frame's name at its head. */
function framed({ x, y, width, height }: Drawn): Box {
  return { x, y: y - 7, width, height: height + 14 };
}

function loop({ x, y, width, height }: Box): { path: string; label: Point } {
  const [right, top] = [x + width / 2, y - height / 2];
  return {
    path: `M${right - 34},${top}C${right - 34},${top - 34} ${right + 34},${top - 10} ${right},${top + 18}`,
    label: { x: right + 14, y: top - 22 },
  };
}

/** Ends in the sides that face each other, near their middle, in place of dagre's anywhere on the border. */
function docked(points: Point[], from: Box, to: Box, direction: "LR" | "TB"): Point[] {
  const [along, across, length, breadth] = direction === "LR" ? (["x", "y", "width", "height"] as const) : (["y", "x", "height", "width"] as const);
  const ahead = to[along] - to[length] / 2 > from[along] + from[length] / 2 ? 1 : to[along] + to[length] / 2 < from[along] - from[length] / 2 ? -1 : 0;
  if (!ahead || points.length < 3) return points;
  const port = (box: Box, side: number, toward: Point): Point => {
    const shift = Math.max(-0.3, Math.min(0.3, (toward[across] - box[across]) / 400)) * box[breadth];
    return { [along]: box[along] + (side * box[length]) / 2, [across]: box[across] + shift } as unknown as Point;
  };
  const middle = points.slice(1, -1);
  return [port(from, ahead, middle[0]!), ...middle, port(to, -ahead, middle.at(-1)!)];
}

/** Through all points, in the drawing's direction at each of them. */
export function curve(points: Point[], direction: "LR" | "TB"): string {
  const at = (x: number, y: number) => `${x.toFixed(1)},${y.toFixed(1)}`;
  let path = "";
  points.forEach(({ x, y }, index) => {
    const before = points[index - 1];
    if (!before) path += `M${at(x, y)}`;
    else if (direction === "LR") path += `C${at((before.x + x) / 2, before.y)} ${at((before.x + x) / 2, y)} ${at(x, y)}`;
    else path += `C${at(before.x, (before.y + y) / 2)} ${at(x, (before.y + y) / 2)} ${at(x, y)}`;
  });
  return path;
}
