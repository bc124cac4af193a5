import { describe, expect, it } from "vitest";
import { rebalanced } from "../src/actions/shift";
import { diff, hunks } from "../src/diff";
import { faulted, shifted, Unclear, unserved, weightsOf } from "../src/documents";
import type { Declared, Service } from "../src/types";
import { lineOf, yaml } from "../src/yaml";

const SERVICE = { name: "reviews", namespace: "shop", host: "", ports: [], instances: [], healthy: 0, vip: "", running: 0 } as Service;

function declared(kind: string, spec: Record<string, unknown>, name = "reviews"): Declared {
  return { kind, namespace: "shop", name, revision: 7, generation: 1, created: 0, labels: {}, annotations: {}, file: "", line: 0, spec, in_force: { needed: 0, acknowledged: 0, rejected: [] }, status: "", findings: [], decisions: [] };
}

describe("shifting traffic", () => {
  it("writes what tulle shift writes where there is nothing", () => {
    const [rule, route] = shifted(SERVICE, { v1: 90, v2: 10 }, []);
    expect(rule!.document.spec).toEqual({ host: "reviews", subsets: [{ name: "v1", labels: { version: "v1" } }, { name: "v2", labels: { version: "v2" } }] });
    expect(route!.document.spec).toEqual({
      hosts: ["reviews"],
      http: [{ route: [{ destination: { host: "reviews", subset: "v1" }, weight: 90 }, { destination: { host: "reviews", subset: "v2" }, weight: 10 }] }],
    });
    expect([rule!.revision, route!.revision]).toEqual([0, 0]);
  });
  it("changes the default route alone, and keeps the rest of it", () => {
    const old = declared("VirtualService", { hosts: ["reviews"], http: [{ match: [{}], route: [] }, { timeout: "2s", route: [{ destination: { host: "reviews", subset: "v1", port: { number: 80 } } }] }] });
    const rule = declared("DestinationRule", { host: "reviews", subsets: [{ name: "v1" }, { name: "v2" }] });
    const edits = shifted(SERVICE, { v1: 0, v2: 100 }, [old, rule]);
    expect(edits).toHaveLength(1);
    expect(edits[0]!.revision).toBe(7);
    expect(edits[0]!.document.spec.http).toEqual([{ match: [{}], route: [] }, { timeout: "2s", route: [{ destination: { host: "reviews", subset: "v2", port: { number: 80 } }, weight: 100 }] }]);
    expect(weightsOf(SERVICE, [old, rule])).toEqual({ v1: 100 });
  });
  it("leaves alone what leads elsewhere, is there twice, or has its name", () => {
    const elsewhere = declared("VirtualService", { hosts: ["reviews"], http: [{ route: [{ destination: { host: "other" } }] }] });
    expect(() => shifted(SERVICE, { v1: 100 }, [elsewhere])).toThrow(Unclear);
    expect(() => shifted(SERVICE, { v1: 100 }, [elsewhere, { ...elsewhere, name: "again" }])).toThrow(Unclear);
    expect(() => shifted(SERVICE, { v1: 100 }, [declared("VirtualService", { hosts: ["ratings"] })])).toThrow(Unclear);
  });
  it("gives a version that nobody runs no more calls than it has", () => {
    const one = { id: "reviews-1", health: "healthy", address: "", port: 0, version: "v1", labels: { tier: "front" }, since: null, weight: 1, locality: "" };
    const service = { ...SERVICE, instances: [one] };
    expect(unserved(service, { v1: 90, v3: 10 }, [])).toEqual({ idle: ["v3"], risen: ["v3"] });
    const route = declared("VirtualService", { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews", subset: "front" }, weight: 80 }, { destination: { host: "reviews", subset: "v3" }, weight: 20 }] }] });
    const rule = declared("DestinationRule", { host: "reviews", subsets: [{ name: "front", labels: { tier: "front" } }, { name: "v3", labels: { version: "v3" } }] });
    expect(unserved(service, { front: 90, v3: 10 }, [route, rule])).toEqual({ idle: ["v3"], risen: [] });
  });
  it("keeps the sum of weights at 100", () => {
    expect(rebalanced({ v1: 80, v2: 20 }, "v2", 35)).toEqual({ v1: 65, v2: 35 });
    expect(rebalanced({ v1: 50, v2: 30, v3: 20 }, "v1", 0)).toEqual({ v1: 0, v2: 60, v3: 40 });
    expect(rebalanced({ v1: 100, v2: 0, v3: 0 }, "v1", 50)).toEqual({ v1: 50, v2: 25, v3: 25 });
  });
});

describe("faults", () => {
  it("go onto the default route and off it again", () => {
    const [edit] = faulted(SERVICE, { abort: { httpStatus: 503, percentage: { value: 10 } } }, []);
    const made = declared("VirtualService", edit!.document.spec);
    expect(made.spec.http).toEqual([{ route: [{ destination: { host: "reviews" } }], fault: { abort: { httpStatus: 503, percentage: { value: 10 } } } }]);
    expect(faulted(SERVICE, null, [made])[0]!.document.spec.http).toEqual([{ route: [{ destination: { host: "reviews" } }] }]);
  });
});

describe("YAML", () => {
  it("is indented as people do, and quotes what would be something else", () => {
    const value = { hosts: ["a", "*"], http: [{ timeout: "2s", on: "true", n: "1", weight: 10, empty: {}, none: [] }], text: "two\nlines\n", key: "a: b" };
    expect(yaml(value)).toBe(
      'hosts:\n  - a\n  - "*"\nhttp:\n  - timeout: 2s\n    "on": "true"\n    "n": "1"\n    weight: 10\n    empty: {}\n    none: []\ntext: |\n  two\n  lines\nkey: "a: b"\n',
    );
  });
});

describe("the line of a field", () => {
  it("is found by its path", () => {
    const document = { spec: { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }, { route: [{ destination: { host: "b" } }] }] } };
    expect(yaml(document).split("\n")[lineOf(document, "spec.http[1].route[0].destination.host")]).toBe("            host: b");
    expect(lineOf(document, "spec.hosts")).toBe(1);
    expect([lineOf(document, ""), lineOf(document, "spec.nothing.there"), lineOf(document, "spec.hosts[4]")]).toEqual([-1, -1, -1]);
  });
});

describe("differences", () => {
  it("are the fewest lines, with some around them", () => {
    const before = "a\nb\nc\nd\ne\nf\ng\nh\n";
    const signs = hunks(diff(before, before.replace("d", "x")), 1).map((one) => (one ? one.sign + one.text : "…"));
    expect(signs).toEqual(["…", " c", "-d", "+x", " e", "…"]);
  });
  it("are none between equals", () => expect(hunks(diff("a\nb\n", "a\nb\n"))).toEqual([]));
});
