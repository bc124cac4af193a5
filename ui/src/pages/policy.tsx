/** Who may call whom: as a table of services, as a question, and by what was refused. */
import { useEffect, useState } from "preact/hooks";
import { get, send } from "../api";
import { changes, useGet } from "../data";
import { count, percent, span } from "../format";
import { mainPort, openPorts } from "../instances";
import { graph, useGraph } from "../live";
import { Badge, Empty, Section, Skeleton, type Tone } from "../parts/basics";
import { inNamespace, quoted } from "../parts/command";
import { Icon, Lock } from "../parts/icons";
import { Table } from "../parts/table";
import type { Check, Decision, Guards, Service } from "../types";
import { about, asked, namespace, set, to } from "../url";
import { Source } from "./guards";

const MOST = 16;
const AT_ONCE = 4;

export function PolicyPage() {
  const services = useGet<Service[]>("v1/services", {}, 15);
  const ns = namespace.value;
  if (services.loading) return <Skeleton rows={10} />;
  const running = (services.data ?? []).filter((one) => one.instances.length > 0 && (!ns || one.namespace === ns));
  const serving = running.filter((one) => mainPort(one));
  if (!running.length) return <Empty title="Nobody is there to be called" command="tulle run web --port 8000 -- python -m http.server 8000" />;
  return (
    <div class="stack">
      <Question services={services.data ?? []} />
      <Matrix services={running.slice(0, MOST)} more={running.length - MOST} />
      <div class="columns">
        <Coverage services={serving} />
        <Denials services={serving} />
      </div>
    </div>
  );
}

async function check(caller: string, service: string, port: number, method: string, path: string): Promise<Check | string> {
  try {
    return await send<Check>("POST", "v1/authz/check", { caller, service, port, method, path });
  } catch (error) {
    return (error as Error).message;
  }
}

function Question({ services }: { services: Service[] }) {
  const [from, target, method, path] = [asked("from"), asked("to"), asked("method") || "GET", asked("path") || "/"];
  const ids = services.map((one) => `${one.namespace}/${one.name}`);
  const called = services.find((one) => `${one.namespace}/${one.name}` === target);
  const ports = called ? openPorts(called) : [];
  const port = (ports.find((one) => one.number === Number(asked("port"))) ?? mainPort(called))?.number;
  const [answer, setAnswer] = useState<Check | string | null>(null);
  const change = changes.value;
  useEffect(() => {
    let over = false;
    setAnswer(null);
    if (from && port) void check(from, target, port, method, path).then((found) => over || setAnswer(found));
    return () => {
      over = true;
    };
  }, [from, target, port, method, path, change]);
  const pick = (name: string, label: string, value: string, values: [string, string][]) => (
    <label class="pick"><span>{label}</span>
      <select aria-label={label} value={value} onChange={(event) => set({ [name]: event.currentTarget.value }, true)}>
        {values.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
    </label>
  );
  return (
    <Section title="May it call?" command={from && target ? `tulle authz check ${quoted(from)} ${quoted(target)}${port && port !== mainPort(called)?.number ? ` --port ${port}` : ""} ${method} ${quoted(path)}` : "tulle authz check FROM TO"}>
      <div class="bar inside">
        {pick("from", "From", from, [["", "choose"], ["-", "a caller without mutual TLS"], ...ids.map((id) => [id, id] as [string, string])])}
        {pick("to", "To", target, [["", "choose"], ...ids.filter((id, index) => id === target || mainPort(services[index])).map((id) => [id, id] as [string, string])])}
        {ports.length > 1 && pick("port", "Port", String(port), ports.map((one) => [String(one.number), `${one.number} ${one.protocol}`]))}
        {pick("method", "Method", method, ["GET", "POST", "PUT", "PATCH", "DELETE"].map((one) => [one, one]))}
        <label class="search"><input data-search placeholder="/path" aria-label="Path" value={path} onChange={(event) => set({ path: event.currentTarget.value }, true)} /></label>
      </div>
      {from && target && (!port ? <p class="quiet">No instance of {target} serves at a port now, so nobody can call it.</p> : answer === null ? <Skeleton rows={2} /> : typeof answer === "string" ? <p class="failure">{answer}</p> : <Answer answer={answer} />)}
    </Section>
  );
}

function Answer({ answer }: { answer: Check }) {
  return (
    <div class="answer">
      {answer.answers.map((one) => (
        <div key={one.proxies.join()}>
          <p class="verdict"><Badge tone={one.allowed ? "ok" : "bad"}>{one.allowed ? "allowed" : "denied"}</Badge> {one.reason} {one.by && <Source source={one.by.source} />}{one.by && <code class="muted"> {one.by.path}</code>}</p>
          {[...one.notes, ...one.asks.map((name) => `${name} is asked as well`)].map((note) => <p key={note} class="quiet">{note}</p>)}
          {one.would_deny && <p class="quiet">A dry run would deny it: <Source source={one.would_deny.source} /></p>}
          {one.policies.length > 0 && <ul class="compared">{one.policies.flatMap((policy) => policy.rules.map((rule) => <li key={policy.place.source + rule.place.path} class={rule.met ? "met" : ""}><Icon name={rule.met ? "check" : "close"} size={12} /> <Badge>{policy.action}</Badge> {rule.text} <span class="muted">{policy.place.source.split(" ")[1]}</span></li>))}</ul>}
        </div>
      ))}
    </div>
  );
}

/** A few questions at once, row by row. */
function Matrix({ services, more }: { services: Service[]; more: number }) {
  const [cells, setCells] = useState<Map<string, Check | string>>(new Map());
  const [method, path] = [asked("method") || "GET", asked("path") || "/"];
  const ids = services.map((one) => `${one.namespace}/${one.name}`);
  const ports = new Map(services.map((one, index) => [ids[index]!, mainPort(one)?.number]));
  const targets = ids.filter((id) => ports.get(id)); // what only calls others can't be called
  const change = changes.value;
  useEffect(() => {
    let over = false;
    const wanted = ids.flatMap((from) => targets.filter((one) => one !== from).map((target) => [from, target] as const));
    const found = new Map<string, Check | string>();
    const worker = async () => {
      for (let next = wanted.shift(); next && !over; next = wanted.shift()) {
        found.set(next.join(">"), await check(next[0], next[1], ports.get(next[1])!, method, path));
        if (!over && (wanted.length % ids.length === 0 || wanted.length < AT_ONCE)) setCells(new Map(found));
      }
    };
    void Promise.all(Array.from({ length: AT_ONCE }, worker));
    return () => {
      over = true;
    };
  }, [ids.join(), targets.join(), method, path, change]);
  const called = new Set((graph.value?.edges ?? []).filter((edge) => edge.rate > 0 || edge.sent_rate > 0).map((edge) => `${edge.from}>${edge.to}`));
  const many = new Set(services.map((one) => one.namespace)).size > 1;
  const name = (id: string) => <>{many && <small>{id.split("/")[0]} </small>}{id.split("/")[1]}</>;
  return (
    <Section title="Who may call whom" note={<>{method} {path} · a dot marks what was called just now{more > 0 ? ` · ${more} more: choose a namespace` : ""}</>} command="tulle authz check FROM TO" flush>
      <div class="table" role="region" tabIndex={0} aria-label="Who may call whom">
        <table class="matrix" data-table="matrix">
          <thead><tr><th scope="col">from \ to</th>{targets.map((id) => <th key={id} scope="col" title={id}>{name(id)}</th>)}</tr></thead>
          <tbody>
            {ids.map((from) => (
              <tr key={from}>
                <th scope="row">{name(from)}</th>
                {targets.map((target) => from === target ? <td key={target} class="self" /> : <td key={target}><Cell from={from} target={target} answer={cells.get(`${from}>${target}`)} called={called.has(`${from}>${target}`)} /></td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Cell({ from, target, answer, called }: { from: string; target: string; answer: Check | string | undefined; called: boolean }) {
  if (answer === undefined) return <i class="cell waiting" />;
  const failed = typeof answer === "string";
  const tone: Tone = failed ? "idle" : answer.allowed ? "ok" : "bad";
  const words = failed ? answer : `${answer.allowed ? "allowed" : "denied"}: ${answer.answers[0]?.reason ?? ""}`;
  return (
    <button type="button" class={`cell ${tone}`} title={`${from} → ${target}\n${words}`} aria-label={`${from} to ${target}: ${words}${called ? ", called just now" : ""}`} onClick={() => set({ from, to: target }, true)}>
      <Icon name={failed ? "help" : answer.allowed ? "check" : "close"} size={13} />
      {called && <i class="called" />}
    </button>
  );
}

function Coverage({ services }: { services: Service[] }) {
  useGraph();
  const edges = graph.value?.edges ?? [];
  const rows = services.map((one) => {
    const id = `${one.namespace}/${one.name}`;
    const mine = edges.filter((edge) => edge.to === id && edge.mtls !== null);
    const weight = mine.reduce((sum, edge) => sum + (edge.rate || 0.001), 0);
    return { one, id, modes: [...new Set(one.ports.flatMap((port) => port.mutual_tls))], share: weight ? mine.reduce((sum, edge) => sum + (edge.rate || 0.001) * edge.mtls!, 0) / weight : null };
  });
  const modeTone = (mode: string): Tone => (mode === "strict" ? "ok" : mode === "permissive" ? "warn" : "bad");
  const known = rows.filter((row) => row.share !== null);
  return (
    <Section title="Mutual TLS" note={known.length ? `${percent(known.filter((row) => row.share === 1).length / known.length)} of services get all calls by it` : ""} command={`tulle get peerauthentication${inNamespace(namespace.value) || " -A"}`} flush>
      <Table
        name="coverage"
        rows={rows}
        order="share"
        keyOf={(row) => row.id}
        columns={[
          { key: "service", label: "Service", by: (row) => row.id, cell: (row) => <a href={to(about("service", row.one.namespace, row.one.name), { tab: "policies" })}>{row.one.name}<small class="muted"> {row.one.namespace}</small></a> },
          { key: "modes", label: "Takes", cell: (row) => row.modes.map((mode) => <Badge key={mode} tone={modeTone(mode)}>{mode}</Badge>) },
          { key: "share", label: "Calls", by: (row) => row.share, cell: (row) => <Lock share={row.share} /> },
        ]}
      />
    </Section>
  );
}

interface Denied extends Decision {
  service: Service;
}

function Denials({ services }: { services: Service[] }) {
  const [rows, setRows] = useState<Denied[] | null>(null);
  const key = services.map((one) => `${one.namespace}/${one.name}`).join();
  const change = changes.value;
  useEffect(() => {
    let over = false;
    let timer: number | undefined;
    const round = async () => {
      const all: Denied[] = [];
      for (const service of services) {
        if (over) return;
        try {
          const found = await get<Guards>("v1/authz/guards", { service: service.name, namespace: service.namespace });
          const seen = new Set<string>(); // instances that judge alike share a guard, and its ports tell the same sums
          for (const guard of found.guards) for (const one of guard.decisions) {
            const id = `${guard.proxies.join()} ${one.what} ${one.source} ${one.place} ${one.caller}`;
            if (!seen.has(id)) all.push({ ...one, service });
            seen.add(id);
          }
        } catch {
          continue;
        }
      }
      if (over) return;
      setRows(all);
      timer = window.setTimeout(round, 10_000);
    };
    void round();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [key, change]);
  return (
    <Section title="Denials" command="tulle authz explain SERVICE" flush>
      {rows === null ? <Skeleton /> : (
        <Table
          name="denials"
          rows={rows}
          order="-count"
          keyOf={(row) => `${row.service.name} ${row.what} ${row.source} ${row.place} ${row.caller}`}
          columns={[
            { key: "service", label: "Called", by: (row) => row.service.name, cell: (row) => <a href={to(about("service", row.service.namespace, row.service.name), { tab: "policies" })}>{row.service.name}</a> },
            { key: "what", label: "What", by: (row) => row.what, cell: (row) => <Badge tone={row.what.startsWith("would") || row.what === "audited" ? "warn" : "bad"}>{row.what}</Badge> },
            { key: "caller", label: "Caller", by: (row) => row.caller, cell: (row) => <span title={row.caller}>{row.caller.split("/").pop() || "plain text"}</span> },
            { key: "source", label: "By", wide: true, cell: (row) => (row.source ? <Source source={row.source} /> : "no ALLOW policy fits") },
            { key: "count", label: "Times", number: true, by: (row) => row.count, cell: (row) => count(row.count) },
            { key: "last", label: "Last", number: true, wide: true, by: (row) => row.last, cell: (row) => `${span(Date.now() / 1000 - row.last)} ago` },
          ]}
          empty={<Empty title="Nobody was refused">Calls that a policy denies, or would deny in a dry run, are counted here.</Empty>}
        />
      )}
    </Section>
  );
}
