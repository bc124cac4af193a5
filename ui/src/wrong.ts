/** What is wrong in the mesh now, the worst first: each with the page and the command that say more. Pure. */
import { percent, plural, span } from "./format";
import type { Ca, Finding, Graph, Proxy, Service, Status } from "./types";
import { about } from "./url";

export interface Trouble {
  key: string;
  level: "bad" | "warn";
  text: string;
  more: string;
  path: string;
  query?: Record<string, string>;
  command: string;
}

export interface Facts {
  status: Status | null;
  services: Service[] | null;
  proxies: Proxy[] | null;
  findings: Finding[] | null;
  ca: Ca | null;
  graph: Graph | null;
  now: number;
}

const ERRORS_WARN = 0.01;
const ERRORS_BAD = 0.05;
const SYNC_PATIENCE = 10;
const CA_SOON = 3 * 86_400;

export function troubles(facts: Facts): Trouble[] {
  const all = [
    ...ofCalls(facts.graph),
    ...ofInstances(facts.services ?? []),
    ...ofProxies(facts.proxies ?? [], facts.now),
    ...ofFindings(facts.findings ?? []),
    ...ofCa(facts.ca, facts.now),
    ...(facts.status?.problems ?? []).map((problem): Trouble => ({
      key: `part ${problem.part}`, level: "bad", text: `${problem.part} can't be made`, more: problem.message, path: "proxies", command: "tulle status",
    })),
    ...(facts.status?.collectors ?? []).map((one): Trouble => ({
      key: `collector ${one.name}`, level: "warn", text: `${one.name} does not take all spans and access logs`, more: `${plural(one.failed, "delivery", "deliveries")} in 5 minutes`, path: "config", query: { kind: "Telemetry" }, command: "tulle status",
    })),
    ...(facts.status?.traces
      ? [{ key: "traces", level: "warn" as const, text: "No traces are kept", more: facts.status.traces, path: "traces", command: "tulle status" }]
      : []),
  ];
  return all.sort((a, b) => Number(a.level !== "bad") - Number(b.level !== "bad"));
}

function ofCalls(graph: Graph | null): Trouble[] {
  const found: Trouble[] = [];
  for (const edge of graph?.edges ?? []) {
    const errors = edge.success === null || edge.rate <= 0 ? 0 : 1 - edge.success;
    if (errors >= ERRORS_WARN) {
      const flags = Object.entries(edge.flags).filter(([flag]) => flag && flag !== "-").sort((a, b) => b[1] - a[1]).map(([flag]) => flag);
      found.push({
        key: `errors ${edge.from} ${edge.to}`,
        level: errors >= ERRORS_BAD ? "bad" : "warn",
        text: `${percent(errors)} of calls from ${edge.from} to ${edge.to} fail`,
        more: [...Object.keys(edge.codes).filter((code) => Number(code) >= 500), ...flags].join(", "),
        path: "graph",
        query: { sel: `${edge.from}>${edge.to}`, focus: edge.to },
        command: `tulle tap ${edge.to.includes("/") ? edge.to : edge.from} --status error`,
      });
    }
    if (edge.mtls !== null && edge.mtls < 1 && edge.to.includes("/") && graph?.nodes.find((node) => node.id === edge.to)?.kind === "service") {
      found.push({
        key: `plain ${edge.from} ${edge.to}`,
        level: "warn",
        text: `Calls from ${edge.from} to ${edge.to} are ${edge.mtls > 0 ? "partly " : ""}plain text`,
        more: "",
        path: "graph",
        query: { sel: `${edge.from}>${edge.to}`, focus: edge.to },
        command: "tulle edges",
      });
    }
  }
  return found;
}

function ofInstances(services: Service[]): Trouble[] {
  return services
    // A program that only calls others serves at no port.
    .filter((service) => service.instances.some((one) => one.health === "unhealthy") || (service.ports.length > 0 && service.instances.length > 0 && service.healthy === 0))
    .map((service) => ({
      key: `instances ${service.namespace}/${service.name}`,
      level: service.healthy === 0 ? "bad" : "warn",
      text: `${service.healthy} of ${plural(service.instances.length, "instance")} of ${service.namespace}/${service.name} take calls`,
      more: service.instances.filter((one) => one.health !== "healthy").map((one) => `${one.id} ${one.health}`).join(", "),
      path: about("service", service.namespace, service.name),
      query: { tab: "instances" },
      command: `tulle services ${service.name} -n ${service.namespace}`,
    }));
}

function ofProxies(proxies: Proxy[], now: number): Trouble[] {
  const found: Trouble[] = [];
  for (const proxy of proxies) {
    const late = proxy.since === null || now - proxy.since > SYNC_PATIENCE;
    const text = proxy.rejected.length
      ? `The Envoy of ${proxy.id} refuses ${plural(proxy.rejected.length, "resource")}`
      : !proxy.connected && late
        ? `The Envoy of ${proxy.id} has no session`
        : !proxy.in_sync && late
          ? `${proxy.id} is out of sync${proxy.since === null ? "" : ` for ${span(now - proxy.since)}`}`
          : "";
    if (text) {
      const more = proxy.rejected[0]?.message.split("\n", 1)[0] ?? "";
      found.push({ key: `proxy ${proxy.id}`, level: "bad", text, more, path: `proxy/${proxy.id}`, command: `tulle proxy ${proxy.id}` });
    }
    for (const problem of proxy.problems) {
      found.push({ key: `problem ${proxy.id} ${problem.part}`, level: "bad", text: `${problem.part} of ${proxy.id} can't be made`, more: problem.message, path: `proxy/${proxy.id}`, command: `tulle proxy ${proxy.id}` });
    }
  }
  return found;
}

function ofFindings(findings: Finding[]): Trouble[] {
  return findings
    .filter((one) => one.level !== "info")
    .map((one) => ({
      key: `finding ${one.kind} ${one.namespace} ${one.name} ${one.path} ${one.message}`,
      level: one.level === "error" ? "bad" : "warn",
      text: `${one.kind} ${one.namespace ? `${one.namespace}/` : ""}${one.name}: ${one.message}`,
      more: [one.path, one.code].filter(Boolean).join(" · "),
      path: ["resource", one.kind, one.namespace || "-", one.name].map(encodeURIComponent).join("/"),
      command: `tulle analyze${one.namespace ? ` -n ${one.namespace}` : ""}`,
    }));
}

function ofCa(ca: Ca | null, now: number): Trouble[] {
  if (!ca) return [];
  return ca.roots
    .filter((root) => root.signs && root.ends - now < CA_SOON)
    .map((root) => ({
      key: `root ${root.id}`, level: "bad" as const, text: `The root certificate ends in ${span(root.ends - now)}`, more: root.subject, path: "proxies", command: "tulle ca rotate",
    }));
}
