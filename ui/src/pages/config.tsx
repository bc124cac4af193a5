/** All that is declared: whether it holds, and what of it does nothing. */
import { useGet } from "../data";
import { plural } from "../format";
import { Badge, Dot, Empty, Failure, Section, Skeleton } from "../parts/basics";
import { inNamespace } from "../parts/command";
import { Search } from "../parts/search";
import { isAdmin } from "../session";
import { send } from "../api";
import type { Declared, Finding } from "../types";
import { asked, namespace, set, to } from "../url";
import { pathOf, ResourceTable } from "./resource_table";
import { usePost } from "./posted";

export function ConfigPage() {
  const ns = namespace.value;
  const declared = useGet<Declared[]>("v1/resources", {}, 8);
  const findings = usePost<Finding[]>(() => send("POST", "v1/analysis", undefined, { all: true }), 15)?.filter((one) => !ns || !one.namespace || one.namespace === ns);
  const words = asked("q").toLowerCase();
  const kind = asked("kind");
  const here = (declared.data ?? []).filter((one) => !ns || !one.namespace || one.namespace === ns);
  const rows = here.filter((one) => (!kind || one.kind === kind) && `${one.kind} ${one.namespace}/${one.name}`.toLowerCase().includes(words));
  const kinds = [...new Set(here.map((one) => one.kind))].sort();
  return (
    <div class="stack">
      <Section
        title="Resources"
        note={declared.data ? String(rows.length) : ""}
        command={`tulle get ${kind ? kind.toLowerCase() : "all"}${inNamespace(ns) || " -A"}`}
        actions={
          <>
            {isAdmin.value && <a class="button primary" href={to("resource/new/-/-")}>New</a>}
            <Search placeholder="Search resources" />
          </>
        }
        flush
      >
        {kinds.length > 1 && (
          <div class="chips" role="group" aria-label="Kind">
            <button type="button" aria-pressed={!kind} onClick={() => set({ kind: undefined }, true)}>all</button>
            {kinds.map((one) => <button key={one} type="button" aria-pressed={kind === one} onClick={() => set({ kind: one }, true)}>{one} <span class="number">{here.filter((each) => each.kind === one).length}</span></button>)}
          </div>
        )}
        {declared.error && !declared.data ? <Failure error={declared.error} again={declared.again} /> : declared.loading ? <Skeleton rows={8} /> : (
          <ResourceTable
            rows={rows}
            empty={words || kind ? <Empty title="Nothing that fits" /> : <Empty title="Nothing is declared" command="tulle apply -f mesh/">Calls find their way without it. Istio's documents say what else should hold: routes, retries, limits, who may call.</Empty>}
          />
        )}
      </Section>
      <Section title="Analysis" note={findings ? plural(findings.length, "finding") : ""} command={`tulle analyze${inNamespace(ns) || " -A"}`} flush>
        {!findings ? <Skeleton rows={2} /> : findings.length ? <Findings findings={findings} /> : <p class="fine"><Dot tone="ok" />All that is declared does what it says.</p>}
      </Section>
    </div>
  );
}

export function Findings({ findings }: { findings: Finding[] }) {
  return (
    <ul class="wrong">
      {findings.map((one) => (
        <li key={`${one.kind}${one.namespace}${one.name}${one.path}${one.message}`}>
          <Dot tone={one.level === "error" ? "bad" : one.level === "warning" ? "warn" : "idle"} />
          <a href={to(pathOf(one))}>{one.kind} {one.namespace ? `${one.namespace}/` : ""}{one.name}</a>
          <span>{one.message}</span>
          <span class="space" />
          {one.path && <code class="muted">{one.path}</code>}
          {one.code && <Badge>{one.code}</Badge>}
        </li>
      ))}
    </ul>
  );
}

