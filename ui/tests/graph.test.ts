import { describe, expect, it } from "vitest";
import { find } from "../src/graph/find";
import { edgeId, secured, toneOf } from "../src/graph/health";
import { layout } from "../src/graph/layout";
import { fitted, zoomed } from "../src/graph/panzoom";
import { around, folded, Memory } from "../src/graph/shape";
import type { GraphEdge, GraphNode } from "../src/types";

function node(id: string, more: Partial<GraphNode> = {}): GraphNode {
  const [namespace, name] = id.includes("/") ? id.split("/") : ["", id];
  return { id, kind: "service", namespace: namespace!, name: name!, versions: [], rate: 1, success: 1, p95: 5, instances: { healthy: 1, total: 1, running: 0 }, unreached: 0, ...more };
}

function edge(from: string, to: string, more: Partial<GraphEdge> = {}): GraphEdge {
  return {
    from, to, protocol: "http", rate: 1, success: 1, p50: 1, p95: 5, p99: 9, mtls: 1, sent_rate: 0, received_rate: 0,
    identities: { from: [], to: [] }, codes: {}, flags: {}, ...more,
  };
}

const NODES = ["shop/web", "shop/cart", "shop/pay", "data/db"].map((id) => node(id));
const EDGES = [edge("shop/web", "shop/cart"), edge("shop/cart", "shop/pay", { success: 0.9, mtls: 0 }), edge("shop/pay", "data/db"), edge("shop/cart", "data/db", { rate: 3 })];
const SHAPE = { nodes: NODES, edges: EDGES };

describe("what is drawn", () => {
  it("is what is near the focus, in both directions", () => {
    expect(around(SHAPE, "shop/web", 1).nodes.map((one) => one.id)).toEqual(["shop/web", "shop/cart"]);
    expect(around(SHAPE, "data/db", 1).nodes.map((one) => one.id)).toEqual(["shop/cart", "shop/pay", "data/db"]);
    expect(around(SHAPE, "shop/web", 2).edges).toHaveLength(4);
  });
  it("has one node for a namespace that is folded, and its calls together", () => {
    const found = folded(SHAPE, new Set(["shop"]));
    expect(found.nodes.map((one) => [one.id, one.kind, one.members])).toEqual([["data/db", "service", undefined], ["shop/*", "namespace", 3]]);
    expect(found.edges.map((one) => [one.from, one.to, one.rate])).toEqual([["shop/*", "data/db", 4]]);
  });
  it("keeps what has gone quiet in its place for ten minutes", () => {
    const memory = new Memory();
    memory.remembered({ window: 60, at: 1000, ...SHAPE });
    const later = memory.remembered({ window: 60, at: 1100, nodes: NODES.slice(0, 2), edges: EDGES.slice(0, 1) });
    expect(later.nodes).toHaveLength(4);
    expect(later.edges.find((one) => one.to === "data/db")!.rate).toBe(0);
    expect(memory.remembered({ window: 60, at: 1701, nodes: NODES.slice(0, 2), edges: EDGES.slice(0, 1) }).nodes).toHaveLength(2);
  });
});

describe("the layout", () => {
  it("is the same for the same graph, whatever its figures are", () => {
    const louder = { nodes: NODES.map((one) => ({ ...one, rate: 900 })), edges: EDGES.map((one) => ({ ...one, rate: 900 })) };
    expect(layout(louder, 1.5, true)).toEqual(layout(SHAPE, 1.5, true));
  });
  it("goes across in a wide window and down in a tall one", () => {
    expect(layout(SHAPE, 4, true).direction).toBe("LR");
    expect(layout(SHAPE, 0.3, true).direction).toBe("TB");
  });
  it("lets no two services overlap, and gives every call a line and a label", () => {
    const drawn = layout(SHAPE, 1.5, true);
    const boxes = [...drawn.nodes.values()];
    for (const a of boxes) for (const b of boxes) if (a !== b) expect(Math.abs(a.x - b.x) >= (a.width + b.width) / 2 || Math.abs(a.y - b.y) >= (a.height + b.height) / 2).toBe(true);
    for (const one of EDGES) expect(drawn.edges.get(edgeId(one))!.path).toMatch(/^M[\d.,C -]+$/);
  });
  it("draws calls of a service to itself, and rings", () => {
    const ring = { nodes: NODES.slice(0, 2), edges: [edge("shop/web", "shop/web"), edge("shop/web", "shop/cart"), edge("shop/cart", "shop/web")] };
    expect(layout(ring, 1, false).edges.size).toBe(3);
  });
});

describe("finding", () => {
  const ids = (words: string) => [...(find(words, SHAPE)?.nodes ?? [])];
  it("takes parts of names", () => expect(ids("pa")).toEqual(["shop/pay"]));
  it("takes conditions on calls", () => {
    expect(ids("err>5%")).toEqual(["shop/cart", "shop/pay"]);
    expect(ids("plain")).toEqual(["shop/cart", "shop/pay"]);
    expect(ids("rate>=3 db")).toEqual(["shop/cart", "data/db"]);
    expect(ids("p95>1s")).toEqual([]);
  });
  it("finds nothing in particular without words", () => expect(find("  ", SHAPE)).toBeNull());
});

describe("moving about", () => {
  it("keeps the point under the pointer where it is", () => {
    const before = { x: 40, y: -20, k: 0.8 };
    const after = zoomed(before, 1.5, 300, 200);
    expect((300 - after.x) / after.k).toBeCloseTo((300 - before.x) / before.k);
    expect((200 - after.y) / after.k).toBeCloseTo((200 - before.y) / before.k);
  });
  it("shows a part that can be read where the whole would be too small", () => {
    const view = fitted(4000, 3000, { width: 800, height: 600 }, { x: 3900, y: 100 });
    expect(view.k).toBe(0.8);
    expect(view.x).toBeCloseTo(800 - 4000 * 0.8);
    expect(view.y).toBeCloseTo(0);
  });
});

describe("health", () => {
  it("has one scale", () => expect([toneOf(1), toneOf(0.98), toneOf(0.9), toneOf(null), toneOf(1, 0)]).toEqual(["ok", "warn", "bad", "idle", "idle"]));
  it("holds failures that met nobody against no encryption", () => {
    expect([secured(0.97, 0.97), secured(0.5, 0.97), secured(0, 0.5), secured(null, 1)]).toEqual([1, 0.5, 0, null]);
  });
});
