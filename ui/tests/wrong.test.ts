import { describe, expect, it } from "vitest";
import type { Service, Status } from "../src/types";
import { troubles } from "../src/wrong";

function service(name: string, health: string, ports: number[]): Service {
  const one = { id: `${name}-1`, health, address: "127.0.0.1", port: 0, version: "", labels: {}, since: null, weight: 1, locality: "" };
  return { name, namespace: "shop", host: name, vip: "", healthy: 0, running: Number(health === "running"), instances: [one], ports: ports.map((number) => ({ number, protocol: "http", name: "", mutual_tls: [] })) };
}

describe("what is wrong now", () => {
  it("is a service of which no instance takes calls, and no program that only calls others", () => {
    const services = [service("api", "starting", [80]), service("job", "running", [])];
    const found = troubles({ status: null, services, proxies: null, findings: null, ca: null, graph: null, now: 0 });
    expect(found.map((one) => [one.level, one.text])).toEqual([["bad", "0 of 1 instance of shop/api take calls"]]);
  });

  it("is that no traces are kept, and why", () => {
    const status = { problems: [], traces: "the disk is short" } as unknown as Status;
    const found = troubles({ status, services: [], proxies: null, findings: null, ca: null, graph: null, now: 0 });
    expect(found.map((one) => [one.level, one.text, one.more, one.path])).toEqual([["warn", "No traces are kept", "the disk is short", "traces"]]);
  });

  it("is a collector that does not take what sidecars send it", () => {
    const status = { problems: [], traces: "", collectors: [{ name: "otel.shop:4317", failed: 1 }] } as unknown as Status;
    const [found] = troubles({ status, services: [], proxies: null, findings: null, ca: null, graph: null, now: 0 });
    expect(found).toMatchObject({ level: "warn", text: "otel.shop:4317 does not take all spans and access logs", more: "1 delivery in 5 minutes" });
  });
});
