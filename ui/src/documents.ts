/** Declared resources as the documents that users write, and the changes that the page makes of them. Pure. */
import type { Declared, Service } from "./types";

export interface Document {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: Record<string, unknown>;
}

/** A document, and the revision that it takes the place of; 0: there is none yet. */
export interface Edit {
  document: Document;
  revision: number;
  before: Document | null;
}

const SECURITY = new Set(["PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"]);

export function apiOf(kind: string): string {
  if (kind === "Telemetry") return "telemetry.istio.io/v1";
  if (kind === "MeshConfig") return "mesh.istio.io/v1alpha1";
  return SECURITY.has(kind) ? "security.istio.io/v1" : "networking.istio.io/v1";
}

export function documentOf(one: Declared): Document {
  const metadata: Document["metadata"] = { name: one.name };
  if (one.namespace && one.kind !== "MeshConfig") metadata.namespace = one.namespace;
  if (Object.keys(one.labels).length) metadata.labels = { ...one.labels };
  if (Object.keys(one.annotations).length) metadata.annotations = { ...one.annotations };
  return { apiVersion: apiOf(one.kind), kind: one.kind, metadata, spec: structuredClone(one.spec) };
}

/** As the command line sends documents: a line of JSON each. */
export function linesOf(documents: Document[], file: string): string {
  return documents.map((value, index) => JSON.stringify({ file, number: index + 1, line: 1, value })).join("\n");
}

export class Unclear extends Error {}

interface Destination {
  destination: { host: string; subset?: string; port?: unknown };
  weight?: number;
}

interface HttpRoute {
  match?: unknown[];
  route?: Destination[];
  fault?: Fault;
  [more: string]: unknown;
}

export interface Fault {
  abort?: { httpStatus: number; percentage: { value: number } };
  delay?: { fixedDelay: string; percentage: { value: number } };
}

function means(host: unknown, service: Service, namespace: string): boolean {
  if (typeof host !== "string") return false;
  const { name, namespace: own } = service;
  const full = [`${name}.${own}`, `${name}.${own}.svc`, `${name}.${own}.svc.cluster.local`];
  return full.includes(host) || (host === name && namespace === own);
}

function found(service: Service, kind: string, declared: Declared[]): Declared | null {
  const fitting = declared.filter((one) => {
    if (one.kind !== kind) return false;
    const spec = one.spec as { host?: unknown; hosts?: unknown; workloadSelector?: unknown };
    const hosts = kind === "DestinationRule" ? [spec.host] : Array.isArray(spec.hosts) ? spec.hosts : [];
    return !spec.workloadSelector && hosts.some((host) => means(host, service, one.namespace));
  });
  if (fitting.length > 1) throw new Unclear(`${service.name} has several ${kind}s (${fitting.map((one) => `${one.namespace}/${one.name}`).join(", ")}): change the one that is meant, under Config`);
  const taken = declared.some((one) => one.kind === kind && one.namespace === service.namespace && one.name === service.name);
  if (!fitting.length && taken) throw new Unclear(`there is a ${kind} ${service.namespace}/${service.name}, and it is not for this service`);
  return fitting[0] ?? null;
}

function fresh(service: Service, kind: string, spec: Record<string, unknown>): Document {
  return { apiVersion: apiOf(kind), kind, metadata: { name: service.name, namespace: service.namespace }, spec };
}

function edited(old: Declared | null, document: Document): Edit {
  return { document, revision: old?.revision ?? 0, before: old ? documentOf(old) : null };
}

/** The route of a VirtualService that every call takes which no other fits. */
function defaultRoute(document: Document): HttpRoute {
  const route = ((document.spec.http ?? []) as HttpRoute[]).find((one) => !one.match?.length);
  if (!route) throw new Unclear(`VirtualService ${document.metadata.name} has no default route, one without match, for HTTP: add one under Config`);
  return route;
}

/** How calls are divided now: percent by version; null: among all instances alike. */
export function weightsOf(service: Service, declared: Declared[]): Record<string, number> | null {
  const old = found(service, "VirtualService", declared);
  if (!old) return null;
  const route = defaultRoute(documentOf(old)).route ?? [];
  if (!route.length || route.some((one) => !one.destination.subset)) return null;
  const total = route.reduce((sum, one) => sum + (one.weight ?? 0), 0);
  if (route.length === 1) return { [route[0]!.destination.subset!]: 100 };
  return Object.fromEntries(route.map((one) => [one.destination.subset!, Math.round((100 * (one.weight ?? 0)) / (total || 1))]));
}

/** Whether an instance of a service is of a version: of the subset by that name, if there is one. */
function isServed(service: Service, version: string, declared: Declared[]): boolean {
  const rule = found(service, "DestinationRule", declared);
  const subsets = ((rule?.spec as { subsets?: { name: string; labels?: Record<string, string> }[] } | undefined)?.subsets) ?? [];
  const labels = Object.entries(subsets.find((one) => one.name === version)?.labels ?? { version });
  return service.instances.some((one) => {
    const tags: Record<string, string> = { app: service.name, version: one.version, ...one.labels };
    return labels.every(([key, value]) => tags[key] === value);
  });
}

/** The versions of weights that nobody serves; risen: those that would get more calls than now, which can only fail. */
export function unserved(service: Service, weights: Record<string, number>, declared: Declared[]): { idle: string[]; risen: string[] } {
  const now = weightsOf(service, declared) ?? {};
  const idle = Object.keys(weights).filter((version) => !isServed(service, version, declared));
  return { idle, risen: idle.filter((version) => weights[version]! > (now[version] ?? 0)) };
}

/** What `tulle shift` writes: a VirtualService whose default route has the weights, a DestinationRule with the versions. */
export function shifted(service: Service, weights: Record<string, number>, declared: Declared[]): Edit[] {
  const oldRule = found(service, "DestinationRule", declared);
  const rule = oldRule ? documentOf(oldRule) : fresh(service, "DestinationRule", { host: service.name });
  const subsets = (rule.spec.subsets ?? []) as { name: string }[];
  const missing = Object.keys(weights).filter((version) => !subsets.some((one) => one.name === version));
  if (missing.length) rule.spec.subsets = [...subsets, ...missing.map((version) => ({ name: version, labels: { version } }))];

  const old = found(service, "VirtualService", declared);
  const document = old ? documentOf(old) : fresh(service, "VirtualService", { hosts: [service.name], http: [{ route: [{ destination: { host: service.name } }] }] });
  const route = defaultRoute(document);
  const before = route.route ?? [];
  if (!before.length || before.some((one) => !means(one.destination.host, service, document.metadata.namespace ?? ""))) {
    throw new Unclear(`the default route of VirtualService ${document.metadata.name} does not lead to ${service.name} alone: change it under Config`);
  }
  const like = { ...before[0]!.destination };
  delete like.subset;
  route.route = Object.entries(weights)
    .filter(([, weight]) => weight > 0)
    .map(([version, weight]) => ({ ...(before.find((one) => one.destination.subset === version) ?? { destination: { ...like, subset: version } }), weight }));
  const edits = [edited(old, document)];
  return missing.length || !oldRule ? [edited(oldRule, rule), ...edits] : edits;
}

export function faultOf(service: Service, declared: Declared[]): Fault | null {
  const old = found(service, "VirtualService", declared);
  return old ? (defaultRoute(documentOf(old)).fault ?? null) : null;
}

/** A fault on the default route; null takes it away. */
export function faulted(service: Service, fault: Fault | null, declared: Declared[]): Edit[] {
  const old = found(service, "VirtualService", declared);
  const document = old ? documentOf(old) : fresh(service, "VirtualService", { hosts: [service.name], http: [{ route: [{ destination: { host: service.name } }] }] });
  const route = defaultRoute(document);
  if (fault) route.fault = fault;
  else delete route.fault;
  return [edited(old, document)];
}
