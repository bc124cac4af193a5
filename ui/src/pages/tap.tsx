/** Live requests, as sidecars see them. Nobody is watched unless this page, or `tulle tap`, asks. */
import { useEffect } from "preact/hooks";
import { useGet } from "../data";
import { bytes, clock, count, duration } from "../format";
import { Dot, Empty, Facts, Failure, Section, Skeleton } from "../parts/basics";
import { Command, inNamespace, quoted } from "../parts/command";
import { flagsInWords, toneOfCode } from "../parts/figures";
import { Icon, Lock } from "../parts/icons";
import { rowsAsLinks } from "../parts/row";
import { calls, lost, seen, start, stop, tapping, tapProblem } from "../tapping";
import type { Service, Tapped } from "../types";
import { isAdmin } from "../session";
import { asked, namespace, set, to } from "../url";

const FILTERS = ["method", "path", "status", "min_ms"] as const;

/** Asked are the sidecars of one end, about the other: of whom is called, if that is said. */
function askedOf(source: string, destination: string): Record<string, string> {
  if (destination) return { service: destination, peer: source, side: "destination" };
  return source ? { service: source, side: "source" } : {};
}

export function TapPage() {
  const services = useGet<Service[]>("v1/services", {}, 30);
  const query = { ...Object.fromEntries(FILTERS.map((name) => [name, asked(name)])), ...askedOf(asked("source"), asked("destination")), namespace: namespace.value };
  const how = { once: !("service" in query), headers: isAdmin.value && asked("headers") === "1" };
  const key = JSON.stringify([query, how]);
  const begin = () => start(query, how);
  useEffect(() => {
    begin();
    return stop;
  }, [key]);
  const ids = (services.data ?? []).map((one) => `${one.namespace}/${one.name}`);
  const call = asked("call");
  const live = calls.value.find((one) => one.request_id && one.request_id === call);
  const kept = useGet<{ calls: Tapped[] }>(call && !live ? `v1/calls/${encodeURIComponent(call)}` : null, {}, 0);
  const chosen = live ?? kept.data?.calls[0] ?? null;
  const state = tapping.value;
  return (
    <div class="stack tap-page">
      <div class="bar">
        <Pick name="source" label="From" any="anybody" values={ids} />
        <Pick name="destination" label="To" any="any service" values={ids} />
        <Pick name="method" label="Method" any="any" values={["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]} />
        <Pick name="status" label="Status" any="any" values={["error", "2xx", "3xx", "4xx", "5xx"]} />
        <Pick name="min_ms" label="At least" any="any time" values={["10", "50", "100", "500", "1000"]} write={(ms) => duration(Number(ms))} />
        <label class="search"><Icon name="search" size={14} /><input data-search type="search" placeholder="Path begins with" aria-label="Path begins with" value={asked("path")} onChange={(event) => set({ path: event.currentTarget.value }, true)} /><kbd aria-hidden="true">/</kbd></label>
        {isAdmin.value && <label class="tick" title="Secrets are left out. It goes to the audit log."><input type="checkbox" checked={how.headers} onChange={(event) => set({ headers: event.currentTarget.checked ? "1" : undefined })} /> Headers</label>}
        <span class="space" />
        <button type="button" class={state === "on" ? "" : "primary"} onClick={() => (state === "on" ? stop() : begin())}><Icon name={state === "on" ? "pause" : "play"} size={14} /> {state === "on" ? "Stop" : "Start"}</button>
      </div>
      <div class={chosen ? "with-detail" : ""}>
        <Section title="Requests" note={`${count(seen.value)} seen${lost.value ? `, ${count(lost.value)} too fast to be told` : ""}${state === "on" ? "" : ", stopped"}`} command={commandOf()} flush>
          {tapProblem.value && <p class="failure" role="alert">{tapProblem.value}</p>}
          {calls.value.length ? <Calls of={calls.value} name="calls" /> : state === "on" ? (
            <Empty title="Waiting for requests">They show up here as soon as they are answered. Filters apply in the sidecars, so that what does not fit costs nothing.</Empty>
          ) : <Empty title="Stopped" />}
        </Section>
        {chosen && <Detail call={chosen} />}
      </div>
      <Lately />
    </div>
  );
}

function Pick({ name, label, any, values, write }: { name: string; label: string; any: string; values: string[]; write?: (value: string) => string }) {
  const now = asked(name);
  const all = now && !values.includes(now) ? [now, ...values] : values;
  return (
    <label class="pick"><span>{label}</span>
      <select aria-label={label} value={now} onChange={(event) => set({ [name]: event.currentTarget.value, call: undefined })}>
        <option value="">{any}</option>
        {all.map((value) => <option key={value} value={value}>{write ? write(value) : value}</option>)}
      </select>
    </label>
  );
}

function commandOf(): string {
  const { service, peer, side } = askedOf(asked("source"), asked("destination"));
  const parts = ["tulle tap", service, peer && `--peer ${peer}`, side && `--side ${side}`];
  for (const name of ["method", "path", "status"]) if (asked(name)) parts.push(`--${name} ${quoted(asked(name))}`);
  if (isAdmin.value && asked("headers") === "1") parts.push("--headers");
  if (asked("min_ms")) parts.push(`--min ${asked("min_ms")}ms`);
  return parts.filter(Boolean).join(" ") + inNamespace(namespace.value);
}

/** What was kept of requests that failed or were slow, also while nobody looked. */
function Lately() {
  const found = useGet<{ calls: Tapped[] }>("v1/calls", { service: asked("destination") || asked("source"), limit: 30 }, 5);
  const rows = (found.data?.calls ?? []).map((call, key) => ({ ...call, key }));
  return (
    <Section title="Failed or slow lately" note="told by sidecars also while nobody looks" command="tulle why REQUEST-ID" flush>
      {found.error && !found.data ? <Failure error={found.error} again={found.again} /> : found.loading ? <Skeleton rows={3} /> : rows.length ? <Calls of={rows} name="lately" /> : <p class="fine"><Dot tone="ok" />None.</p>}
    </Section>
  );
}

function Calls({ of, name }: { of: (Tapped & { key: number })[]; name: string }) {
  return (
    <div class="table calls" role="region" tabIndex={0} aria-label={name}>
      <table data-table={name}>
        <thead><tr><th scope="col">Time</th><th scope="col">From → to</th><th scope="col">Request</th><th scope="col" class="number">Status</th><th scope="col" class="number">Took</th><th scope="col"><span class="unseen">mTLS</span></th><th scope="col" class="wide">Route</th><th scope="col" class="wide">Trace</th></tr></thead>
        <tbody {...rowsAsLinks}>
          {of.map((call) => (
            <tr key={call.key} class={toneOfCode(call.status) === "bad" ? "bad" : ""}>
              <td><time>{clock(call.time, true)}</time></td>
              <td><Dot tone={toneOfCode(call.status)} />{short(call.source)} <span class="muted">→</span> {short(call.destination)}</td>
              <td class="request"><button type="button" class="link" onClick={() => set({ call: call.request_id }, true)}><b>{call.method}</b> {call.path}</button></td>
              <td class="number"><span class={`text ${toneOfCode(call.status)}`}>{call.status || "–"}</span>{call.flags && call.flags !== "-" && <small class="muted" title={flagsInWords(call.flags)}> {call.flags}</small>}</td>
              <td class="number">{duration(call.duration_ms)}</td>
              <td><Lock share={security(call)} /></td>
              <td class="wide muted">{call.route || "–"}</td>
              <td class="wide">{call.trace ? <a href={to(`trace/${call.trace}`)}><code>{call.trace.slice(0, 8)}</code></a> : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const short = (id: string): string => id.split("/").pop() || "unknown";

/** Null for a request that its caller's sidecar answered itself: there was nobody to prove anything to. */
function security(call: Tapped): number | null {
  if (call.mtls) return 1;
  return call.side === "source" && !call.upstream ? null : 0;
}

function Detail({ call }: { call: Tapped }) {
  const why = flagsInWords(call.flags);
  return (
    <aside class="detail" aria-label="Request">
      <button type="button" class="bare close" aria-label="Close the details" onClick={() => set({ call: undefined }, true)}><Icon name="close" /></button>
      <header>
        <small>{call.source} → {call.destination}</small>
        <h2>{call.method} {call.path}</h2>
      </header>
      <Facts
        facts={[
          ["Status", <span key="status" class={`text ${toneOfCode(call.status)}`}>{call.status || "none"}</span>],
          ...(why || call.details ? [["Why", [why, call.details && !/^via_upstream$/.test(call.details) ? call.details : "", call.failure].filter(Boolean).join("; ") || "–"] as [string, string]] : []),
          ["Took", duration(call.duration_ms)],
          ["Security", <><Lock share={security(call)} /> {call.mtls ? "mutual TLS" : security(call) === null ? "it met nobody" : "plain text"}{call.identity && <code> {call.identity}</code>}</>],
          ["Went to", [call.upstream, call.cluster].filter(Boolean).map((one) => <code key={one}>{one} </code>)],
          ["Tries", String(call.attempts || 1)],
          ["Bytes", `${bytes(call.received)} in, ${bytes(call.sent)} out`],
          ["Route", call.route || "–"],
          ["Told by", <><a href={to(`proxy/${call.proxy}`)}>{call.proxy}</a> <span class="muted">{call.side}</span></>],
          ["Trace", call.trace ? <a key="trace" href={to(`trace/${call.trace}`)}><code>{call.trace}</code></a> : "none"],
          ["Request id", <code key="id">{call.request_id || "–"}</code>],
        ]}
      />
      <Headers title="Headers of the request" of={call.request_headers} />
      <Headers title="Headers of the answer" of={call.response_headers} />
      <Headers title="Trailers" of={call.response_trailers} />
      {call.request_id && <Command text={`tulle why ${call.request_id}`} />}
    </aside>
  );
}

function Headers({ title, of }: { title: string; of?: Record<string, string> }) {
  const all = Object.entries(of ?? {});
  if (!all.length) return null;
  return (
    <>
      <h3>{title}</h3>
      <Facts facts={all.map(([name, value]) => [name, <code key={name}>{value}</code>])} />
    </>
  );
}
