/** One declared resource: its document, whether it holds, what was changed in it, and an editor. */
import { useState } from "preact/hooks";
import { apply, whyOf } from "../actions/apply";
import { Confirm, Difference } from "../actions/confirm";
import { Refused, send, sendText } from "../api";
import { naming, useAudit } from "../audit";
import { changes, useGet } from "../data";
import { documentOf } from "../documents";
import { date, plural } from "../format";
import { Badge, Empty, Facts, Failure, Section, Skeleton, Tabs } from "../parts/basics";
import { open, say } from "../parts/dialog";
import { Icon } from "../parts/icons";
import { isAdmin } from "../session";
import type { Applied, Declared, Finding, Problem } from "../types";
import { asked, go, to } from "../url";
import { lineOf, yaml } from "../yaml";
import { Findings } from "./config";
import { pathOf, toneOfStatus } from "./resource_table";

const START = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: default
spec:
  hosts:
    - web
  http:
    - timeout: 2s
      route:
        - destination:
            host: web
`;

export function ResourcePage({ kind, namespace, name }: { kind: string; namespace: string; name: string }) {
  const isNew = kind === "new";
  const found = useGet<Declared>(isNew ? null : `v1/resources/${[kind, namespace, name].map(encodeURIComponent).join("/")}`, {}, 5);
  if (isNew) return isAdmin.value ? <Editor before="" start={START} revision={null} /> : <Empty title="Only admins declare resources" />;
  if (found.error && !found.data) return found.error.status === 404 ? <Empty title={`There is no ${kind} ${namespace}/${name}`} command={`tulle get ${kind.toLowerCase()} -A`} /> : <Failure error={found.error} again={found.again} />;
  if (!found.data) return <Skeleton rows={10} />;
  const one = found.data;
  const tab = asked("tab") || "yaml";
  const path = pathOf(one);
  const short = `${one.kind.toLowerCase()} ${one.name}${one.namespace ? ` -n ${one.namespace}` : ""}`;
  return (
    <div class="stack">
      <header class="head">
        <div>
          <h2>{one.name} <small>{one.namespace}</small></h2>
          <p><Badge>{one.kind}</Badge><Badge tone={toneOfStatus(one)}>{one.status}</Badge><span class="muted">generation {one.generation}, {one.in_force.acknowledged} of {plural(one.in_force.needed, "proxy", "proxies")}</span></p>
        </div>
        <span class="space" />
        {isAdmin.value && (
          <div class="actions">
            {tab !== "edit" && <a class="button" href={to(path, { tab: "edit" })}><Icon name="edit" size={14} /> Edit</a>}
            <button type="button" class="danger" onClick={() => deleteDialog(one)}>Delete</button>
          </div>
        )}
      </header>
      <Tabs current={tab} hrefOf={(key) => to(path, { tab: key === "yaml" ? undefined : key })} tabs={[["yaml", "YAML"], ["status", "Status", one.findings.length + one.in_force.rejected.length], ["history", "History"], ...(isAdmin.value ? [["edit", "Edit"] as [string, string]] : [])]} />
      {tab === "yaml" && <Section title="Document" note={one.file ? `${one.file}${one.line ? `:${one.line}` : ""}` : ""} command={`tulle get ${short} -o yaml`}><Yaml one={one} /></Section>}
      {tab === "status" && <State one={one} command={`tulle describe ${short}`} />}
      {tab === "history" && <History one={one} />}
      {tab === "edit" && isAdmin.value && <Editor key={one.kind + one.name} before={yaml(documentOf(one))} start={yaml(documentOf(one))} revision={one.revision} />}
    </div>
  );
}

/** With findings at the lines of their fields. */
function Yaml({ one }: { one: Declared }) {
  const document = documentOf(one);
  const marked = new Map(one.findings.map((finding) => [lineOf(document, finding.path), finding]));
  return (
    <pre class="code numbered" tabIndex={0}>
      {yaml(document).trimEnd().split("\n").map((line, index) => {
        const [, pad = "", key = "", rest = line] = /^(\s*(?:- )?)([\w./-]+:)(.*)$/.exec(line) ?? [undefined, "", "", line];
        const finding = marked.get(index);
        return <span key={index} class={`line ${finding?.level ?? ""}`} title={finding?.message}>{pad}<b>{key}</b>{rest}{finding && <em>{finding.message}</em>}{"\n"}</span>;
      })}
    </pre>
  );
}

function State({ one, command }: { one: Declared; command: string }) {
  return (
    <Section title="Status" command={command}>
      <Facts
        facts={[
          ["Status", <span key="status" class={`text ${toneOfStatus(one)}`}>{one.status}</span>],
          ["In force", `on ${one.in_force.acknowledged} of ${plural(one.in_force.needed, "proxy", "proxies")} that need it`],
          ["Declared", date(one.created)],
          ["Generation", String(one.generation)],
          ...(Object.keys(one.labels).length ? [["Labels", Object.entries(one.labels).map(([key, value]) => <Badge key={key}>{`${key}=${value}`}</Badge>)] as [string, preact.ComponentChildren]] : []),
        ]}
      />
      {one.in_force.rejected.map((each) => <div key={each.proxy} class="failure"><div><a href={to(`proxy/${each.proxy}`)}>{each.proxy}</a> refuses it, and keeps what it had.<pre>{each.reason}</pre></div></div>)}
      {one.findings.length > 0 && <Findings findings={one.findings} />}
      {one.decisions.length > 0 && (
        <table class="plain"><thead><tr><th>Decided</th><th>Rule</th><th>Caller</th><th class="number">Times</th></tr></thead>
          <tbody>{one.decisions.map((each) => <tr key={each.what + each.place + each.caller}><td>{each.what}</td><td><code>{each.place}</code></td><td>{each.caller || "plain text"}</td><td class="number">{each.count}</td></tr>)}</tbody>
        </table>
      )}
    </Section>
  );
}

function History({ one }: { one: Declared }) {
  const fits = naming([`${one.namespace}/${one.name}`, ...(one.namespace ? [] : [one.name])]);
  const found = useAudit((line) => (line.what ?? "").includes(one.kind) && fits(line.what ?? ""), pathOf(one));
  return (
    <Section title="History" note="as the audit log has it" command="tulle audit">
      {found === null ? <Skeleton /> : found.length ? (
        <ol class="history">
          {found.map((line) => (
            <li key={line.time}>
              <p><b>{date(line.time)}</b> <span class="muted">{line.who}</span></p>
              <Difference before={line.before ? yaml(line.before) : ""} after={line.after ? yaml(line.after) : ""} />
            </li>
          ))}
        </ol>
      ) : <Empty title={isAdmin.value ? "No change is on record" : "The history is in the audit log, which is for admins"} />}
    </Section>
  );
}

function deleteDialog(one: Declared): void {
  const path = `v1/resources/${[one.kind, one.namespace || "-", one.name].map(encodeURIComponent).join("/")}`;
  const run = async () => {
    await send("DELETE", path, undefined, { revision: one.revision });
    go("config");
    changes.value += 1;
    const document = documentOf(one);
    say(`${one.kind} ${one.namespace}/${one.name} deleted`, "ok", { label: "Undo", run: () => void apply([{ document, revision: 0, before: null }]).catch((error) => say(whyOf(error), "bad")) });
  };
  open(() => (
    <Confirm title={`Delete ${one.kind} ${one.namespace}/${one.name}`} verb="Delete" danger command={`tulle delete ${one.kind.toLowerCase()} ${one.name}${one.namespace ? ` -n ${one.namespace}` : ""}`} run={run}>
      <p>{plural(one.in_force.needed, "proxy needs", "proxies need")} it now. What it says ceases to hold within a second.</p>
    </Confirm>
  ));
}

interface Tried {
  text: string;
  applied: Applied | null;
  problems: Problem[];
  problem: string;
  findings: Finding[];
}

/** revision: of what is edited; null: something new. */
function Editor({ before, start, revision }: { before: string; start: string; revision: number | null }) {
  const [text, setText] = useState(start);
  const [tried, setTried] = useState<Tried | null>(null);
  const [busy, setBusy] = useState(false);
  const [from] = useState({ before, revision });
  const isOne = !/^---/m.test(text.replace(/^---\n/, ""));
  const query = from.revision === null || !isOne ? {} : { revision: from.revision };
  const dryRun = async () => {
    setBusy(true);
    const result: Tried = { text, applied: null, problems: [], problem: "", findings: [] };
    try {
      result.applied = await sendText<Applied>("v1/resources", text, "application/yaml", { ...query, dry_run: true });
      result.findings = await sendText<Finding[]>("v1/analysis", text, "application/yaml");
    } catch (error) {
      result.problem = (error as Error).message;
      result.problems = error instanceof Refused ? error.problems : [];
    }
    setTried(result);
    setBusy(false);
  };
  const ready = tried?.applied && tried.text === text;
  const ask = () => open(() => (
    <Confirm title="Apply" verb="Apply" wide command={`tulle apply -f - <<'EOF'\n${text}EOF`} run={() => applyText(text, from.before, query)}>
      <Difference before={from.before} after={text} />
    </Confirm>
  ));
  return (
    <div class="editing">
      <Section title={from.revision === null ? "New resource" : "Edit"} note="Istio's YAML; several documents with --- between them" actions={<><button type="button" disabled={busy} data-dry-run onClick={() => void dryRun()}>Dry run</button><button type="button" class="primary" disabled={!ready || busy} data-apply onClick={ask}>Apply…</button></>}>
        <textarea class="code" spellcheck={false} aria-label="YAML" rows={Math.min(40, Math.max(14, text.split("\n").length + 1))} value={text} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={indent} />
        <div class="tried" role="status">
          {tried === null || tried.text !== text ? <span class="muted">A dry run says what it would do; then it can be applied.</span> : tried.problem ? (
            <ul class="problems"><li class="text bad">{tried.problem}</li>{tried.problems.map((one) => <li key={one.line + one.path + one.message} class={`text ${one.severity === "warning" ? "warn" : "bad"}`}>{one.line ? `line ${one.line}: ` : ""}{one.path && <code>{one.path}</code>} {one.message}</li>)}</ul>
          ) : (
            <ul class="problems">{tried.applied!.outcomes.map((one) => <li key={one.kind + one.name} class="text ok">{one.kind} {one.namespace}/{one.name} would be {one.action}</li>)}{[...tried.applied!.warnings, ...tried.findings].map((one) => <li key={one.path + one.message} class="text warn">{one.path && <code>{one.path}</code>} {one.message}</li>)}</ul>
          )}
        </div>
      </Section>
      <Section title="Difference" command={from.revision === null ? "tulle diff -f FILE" : "tulle diff -f -"}><Difference before={from.before} after={text} /></Section>
    </div>
  );
}

/** Tab indents by two spaces; Esc leaves the field, so that the keyboard gets on. */
function indent(event: KeyboardEvent): void {
  const field = event.target as HTMLTextAreaElement;
  if (event.key !== "Tab" || event.shiftKey) return;
  event.preventDefault();
  field.setRangeText("  ", field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

async function applyText(text: string, before: string, query: { revision?: number }): Promise<void> {
  const done = await sendText<Applied>("v1/resources", text, "application/yaml", query);
  changes.value += 1;
  const undo = async () => {
    try {
      if (before) await sendText("v1/resources", before, "application/yaml");
      else await send("POST", "v1/resources/delete", done.outcomes.filter((one) => one.action === "created").map(({ kind, namespace, name }) => ({ kind, namespace, name })));
      say("Undone: it is as it was before.");
    } catch (error) {
      say(`Not undone: ${whyOf(error)}`, "bad");
    }
    changes.value += 1;
  };
  say(done.outcomes.map((one) => `${one.kind} ${one.name} ${one.action}`).join(", "), "ok", { label: "Undo", run: () => void undo() });
  const first = done.outcomes[0];
  if (first) go(pathOf(first), { tab: undefined });
}
