import { describe, expect, it } from "vitest";
import { waterfall } from "../src/trace/tree";
import type { Span } from "../src/types";
import { begun, seriesOf, settled } from "../src/history";
import { isOwnLine } from "../src/tapping";
import { sorted, type Column } from "../src/parts/table";

function span(id: string, parent: string, start: number, ms: number): Span {
  return { id, parent, service: "shop/web", name: id, kind: "server", start: 1000 + start / 1000, duration_ms: ms, error: false, attributes: {}, events: [], scope: "" };
}

describe("a waterfall", () => {
  it("goes down by parents, in the order of time", () => {
    const { rows, duration } = waterfall([span("c", "a", 60, 30), span("b", "a", 5, 40), span("a", "", 0, 100), span("d", "b", 10, 5)]);
    expect(rows.map((row) => [row.span.id, row.depth])).toEqual([["a", 0], ["b", 1], ["d", 2], ["c", 1]]);
    expect(duration).toBeCloseTo(100);
  });
  it("shows spans whose parent is lost, and rings", () => {
    expect(waterfall([span("b", "gone", 0, 1)]).rows).toHaveLength(1);
    expect(waterfall([span("a", "b", 0, 1), span("b", "a", 0, 1)]).rows).toHaveLength(2);
  });
  it("knows what the duration comes from", () => {
    const { rows } = waterfall([span("a", "", 0, 100), span("slow", "a", 10, 85), span("beside", "a", 20, 10)]);
    expect(rows.filter((row) => row.critical).map((row) => row.span.id)).toEqual(["a", "slow"]);
  });
  it("hides what is folded", () => {
    expect(waterfall([span("a", "", 0, 9), span("b", "a", 1, 2)], new Set(["a"])).rows).toHaveLength(1);
  });
});

describe("history", () => {
  it("leaves gaps as gaps", () => {
    const point = { t: 100, rate: 2, errors: 0, p50: 1, p95: 2, p99: 3 };
    const { times, rate } = seriesOf({ step: 5, from: 100, points: [point, null, { ...point, t: 110 }] });
    expect(times).toEqual([100, 105, 110]);
    expect(rate).toEqual([2, null, 2]);
  });
  it("ends with the last that all have told of", () => {
    expect(settled({ step: 5, from: 0, points: [null, null, null] }).points).toHaveLength(2);
    expect(settled({ step: 300, from: 0, points: [null, null, null] }).points).toHaveLength(3);
  });
  it("begins with the control plane", () => {
    const point = { t: 0, rate: 1, errors: 0, p50: 1, p95: 1, p99: 1 };
    const points = [...Array.from({ length: 100 }, () => null), ...Array.from({ length: 80 }, (_, index) => ({ ...point, t: 1500 + index * 5 }))];
    expect(begun({ step: 5, from: 1000, points })).toMatchObject({ from: 1495, points: { length: 81 } });
    expect(begun({ step: 5, from: 1000, points: points.slice(0, 101) }).points).toHaveLength(24);
    expect(begun({ step: 5, from: 1000, points: points.slice(0, 90) }).points).toHaveLength(90);
  });
});

describe("a tap", () => {
  it("shows a call that has two ends in the mesh once", () => {
    expect(isOwnLine({ side: "source", mtls: true })).toBe(false);
    expect(isOwnLine({ side: "destination", mtls: true })).toBe(true);
    expect(isOwnLine({ side: "source", mtls: false })).toBe(true);
  });
});

describe("tables", () => {
  it("sort by numbers and names, and have what is not known last", () => {
    const columns = [{ key: "n", label: "", cell: () => null, by: (row: { n: number | null }) => row.n }] as Column<{ n: number | null }>[];
    const rows = [{ n: 10 }, { n: null }, { n: 9 }];
    expect(sorted(rows, columns, "n").map((row) => row.n)).toEqual([9, 10, null]);
    expect(sorted(rows, columns, "-n").map((row) => row.n)).toEqual([10, 9, null]);
  });
});
