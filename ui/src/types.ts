/** What the API answers, as far as the page reads it; docs/reference/api.md says what the fields mean. */

export interface Status {
  version: string;
  envoy: string;
  started_at: number;
  services: number;
  instances: number;
  healthy: number;
  proxies: number;
  connected: number;
  in_sync: number;
  refused: number;
  problems: { part: string; message: string }[];
  running: number;
  traces: string;
  collectors: { name: string; failed: number }[];
}

export interface Instance {
  id: string;
  health: string;
  address: string;
  port: number;
  version: string;
  labels: Record<string, string>;
  since: number | null;
  weight: number;
  locality: string;
}

export interface Instances {
  healthy: number;
  total: number;
  running: number;
}

export interface Port {
  number: number;
  protocol: string;
  name: string;
  mutual_tls: string[];
}

export interface Service {
  name: string;
  namespace: string;
  host: string;
  ports: Port[];
  instances: Instance[];
  healthy: number;
  vip: string;
  running: number;
}

export interface Proxy {
  id: string;
  service: string;
  namespace: string;
  health: string;
  address: string;
  inbound_port: number;
  outbound_port: number;
  connected: boolean;
  in_sync: boolean;
  connected_since: number | null;
  since: number | null;
  names: number;
  strangers: number;
  refused: number;
  rejected: { resource: string; message: string }[];
  capture: string;
  problems: { part: string; message: string }[];
  metrics?: string;
}

export interface EnvoyResource {
  name: string;
  version: string;
  state: string;
  resource: unknown;
}

export type Config = Record<"listeners" | "routes" | "clusters" | "endpoints", EnvoyResource[]>;

export interface Finding {
  kind: string;
  namespace: string;
  name: string;
  file: string;
  line: number;
  path: string;
  message: string;
  level: "error" | "warning" | "info";
  code: string;
}

export interface Decision {
  what: string;
  source: string;
  place: string;
  caller: string;
  count: number;
  last: number;
}

export interface Declared {
  kind: string;
  namespace: string;
  name: string;
  revision: number;
  generation: number;
  created: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  file: string;
  line: number;
  spec: Record<string, unknown>;
  in_force: { needed: number; acknowledged: number; rejected: { proxy: string; reason: string }[] };
  status: string;
  findings: Finding[];
  decisions: Decision[];
}

export interface Problem {
  file: string;
  line: number;
  path: string;
  message: string;
  severity: "error" | "unsupported" | "warning";
}

export interface Outcome {
  kind: string;
  namespace: string;
  name: string;
  action: string;
}

export interface Applied {
  outcomes: Outcome[];
  warnings: Problem[];
}

export interface SourcePlace {
  source: string;
  path: string;
  file: string;
  line: number;
}

export interface PolicyRule {
  place: SourcePlace;
  text: string;
  met: boolean;
}

export interface Policy {
  place: SourcePlace;
  action: string;
  rules: PolicyRule[];
  dry_run: boolean;
  provider: string;
}

export interface Guard {
  proxies: string[];
  port: number;
  protocol: string;
  mutual_tls: string;
  peer_authentications: SourcePlace[];
  policies: Policy[];
  otherwise: string;
  issuers: string[];
  decisions: Decision[];
}

export interface Guards {
  service: string;
  guards: Guard[];
}

export interface CheckAnswer {
  proxies: string[];
  allowed: boolean;
  reason: string;
  status: number;
  mutual_tls: string;
  by: SourcePlace | null;
  asks: string[];
  would_deny: SourcePlace | null;
  notes: string[];
  policies: Policy[];
}

export interface Check {
  principal: string;
  service: string;
  port: number;
  allowed: boolean;
  answers: CheckAnswer[];
}

export interface Ca {
  phase: string;
  roots: { id: string; subject: string; begins: number; ends: number; signs: boolean; stays: boolean }[];
  issuers: { id: string; root: string; ends: number; state: string }[];
  proxies: { id: string; trusts: boolean; root: string; ends?: number | null }[];
  trusting: number;
  renewed: number;
  revokes: boolean;
}

export interface StatRow {
  kind: string;
  namespace: string;
  name: string;
  workload?: string | null;
  route?: string | null;
  proxy?: string | null;
  requests: number;
  rate: number;
  success: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  mtls: number | null;
  codes: Record<string, number>;
  flags: Record<string, number>;
  tcp: { opened: number; open: number; sent_rate: number; received_rate: number } | null;
  instances: Instances | null;
  unreached: number;
}

export interface Stats {
  window: number;
  at: number;
  rows: StatRow[];
  lost?: Record<string, number>;
  gaps?: [number, number][];
}

export interface GraphNode {
  id: string;
  kind: "service" | "external" | "unknown" | "namespace";
  namespace: string;
  name: string;
  versions: { version: string; rate: number; success: number | null }[];
  rate: number;
  success: number | null;
  p95: number | null;
  instances: Instances | null;
  unreached: number;
  members?: number;
}

export interface GraphEdge {
  from: string;
  to: string;
  protocol: string;
  rate: number;
  success: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  mtls: number | null;
  sent_rate: number;
  received_rate: number;
  identities: { from: string[]; to: string[] };
  codes: Record<string, number>;
  flags: Record<string, number>;
}

export interface Graph {
  window: number;
  at: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export interface HistoryPoint {
  t: number;
  rate: number;
  errors: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface History {
  step: number;
  from: number;
  points: (HistoryPoint | null)[];
}

export interface TraceRow {
  id: string;
  start: number;
  duration_ms: number;
  spans: number;
  errors: number;
  root: { service: string; name: string };
  services: string[];
}

export interface Traces {
  traces: TraceRow[];
  lost?: { here: number; by_agents: number; trouble: string };
}

export interface Span {
  id: string;
  parent: string | null;
  /** `web.default` */
  service: string;
  instance?: string;
  name: string;
  kind: string;
  start: number;
  duration_ms: number;
  error: boolean;
  attributes: Record<string, unknown>;
  events: { name: string; time: number; attributes: Record<string, unknown> }[];
  scope: string;
}

export interface Trace {
  id: string;
  spans: Span[];
}

/** One request, as one end of it tells. */
export interface Tapped {
  time: number;
  proxy: string;
  side: "source" | "destination";
  source: string;
  destination: string;
  method: string;
  host: string;
  path: string;
  protocol: string;
  status: number;
  grpc: string;
  flags: string;
  details: string;
  duration_ms: number;
  sent: number;
  received: number;
  request_id: string;
  trace: string;
  route: string;
  cluster: string;
  upstream: string;
  attempts: number;
  failure: string;
  identity: string;
  mtls: boolean;
  lost: number;
  /** If they were asked for; of what is or may be a secret the length alone. */
  request_headers?: Record<string, string>;
  response_headers?: Record<string, string>;
  response_trailers?: Record<string, string>;
}
