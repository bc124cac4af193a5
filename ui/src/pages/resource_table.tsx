/** Declared resources in a table: whether they hold, and what is wrong with them. */
import type { ComponentChildren } from "preact";
import { span } from "../format";
import { Badge, Dot, type Tone } from "../parts/basics";
import { Table } from "../parts/table";
import type { Declared } from "../types";
import { to } from "../url";

export function toneOfDeclared(one: Declared): Tone {
  if (one.in_force.rejected.length || one.findings.some((finding) => finding.level === "error") || one.status.startsWith("not in force")) return "bad";
  if (one.findings.some((finding) => finding.level === "warning") || one.in_force.acknowledged < one.in_force.needed) return "warn";
  return one.status === "in force" ? "ok" : "idle";
}

/** Of what the status says alone: findings have a column of their own. */
export function toneOfStatus(one: Declared): Tone {
  if (one.in_force.rejected.length || one.status.startsWith("not in force")) return "bad";
  return one.in_force.acknowledged < one.in_force.needed ? "warn" : "ok";
}

export function pathOf(one: { kind: string; namespace: string; name: string }): string {
  return ["resource", one.kind, one.namespace || "-", one.name].map(encodeURIComponent).join("/");
}

/** Whether a resource is about a service, as far as its hosts say. */
export function isAbout(one: Declared, namespace: string, name: string): boolean {
  const spec = one.spec as { host?: string; hosts?: string[]; selector?: { matchLabels?: Record<string, string> } };
  const hosts = [spec.host, ...(Array.isArray(spec.hosts) ? spec.hosts : [])].filter((host): host is string => typeof host === "string");
  const full = `${name}.${namespace}.svc.cluster.local`;
  if (hosts.some((host) => full === host || (host === name && one.namespace === namespace) || host === `${name}.${namespace}` || host === `${name}.${namespace}.svc`)) return true;
  const labels = spec.selector?.matchLabels;
  return one.namespace === namespace && labels?.app === name;
}

export function ResourceTable({ rows, empty }: { rows: Declared[]; empty: ComponentChildren }) {
  const now = Date.now() / 1000;
  return (
    <Table
      name="resources"
      rows={rows}
      order="kind"
      keyOf={(one) => `${one.kind}/${one.namespace}/${one.name}`}
      columns={[
        { key: "kind", label: "Kind", by: (one) => `${one.kind} ${one.namespace} ${one.name}`, cell: (one) => <><Dot tone={toneOfDeclared(one)} />{one.kind}</> },
        { key: "name", label: "Name", by: (one) => one.name, cell: (one) => <a href={to(pathOf(one))}>{one.name}</a> },
        { key: "namespace", label: "Namespace", by: (one) => one.namespace, cell: (one) => <span class="muted">{one.namespace || "–"}</span> },
        { key: "force", label: "In force", number: true, by: (one) => one.in_force.acknowledged, cell: (one) => `${one.in_force.acknowledged}/${one.in_force.needed}` },
        { key: "status", label: "Status", by: (one) => one.status, cell: (one) => <span class={`text ${toneOfStatus(one)}`}>{one.status}</span> },
        { key: "findings", label: "Findings", number: true, by: (one) => one.findings.length, cell: (one) => (one.findings.length ? <Badge tone={one.findings.some((finding) => finding.level === "error") ? "bad" : "warn"}>{one.findings.length}</Badge> : "–") },
        { key: "generation", label: "Gen", number: true, wide: true, by: (one) => one.generation, cell: (one) => one.generation },
        { key: "age", label: "Age", number: true, wide: true, by: (one) => -one.created, cell: (one) => span(now - one.created) },
        { key: "file", label: "Written in", wide: true, by: (one) => one.file, cell: (one) => <code>{one.file ? `${one.file}${one.line ? `:${one.line}` : ""}` : "–"}</code> },
      ]}
      empty={empty}
    />
  );
}
