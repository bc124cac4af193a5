/** What is around every page: the ways to the others, the namespace, the time range, who is signed in. */
import { useEffect } from "preact/hooks";
import { useGet } from "./data";
import { date } from "./format";
import { GraphPage } from "./graph/page";
import { helpShown, JUMPS } from "./keys";
import { graph, liveness } from "./live";
import { Dialog, Dialogs, Notes, close, open } from "./parts/dialog";
import { Icon, Mark, type IconName } from "./parts/icons";
import { Skeleton } from "./parts/basics";
import { ConfigPage } from "./pages/config";
import { Overview } from "./pages/overview";
import { PolicyPage } from "./pages/policy";
import { ProxiesPage } from "./pages/proxies";
import { ProxyPage } from "./pages/proxy";
import { ResourcePage } from "./pages/resource";
import { ServicePage } from "./pages/service";
import { ServicesPage } from "./pages/services";
import { SignIn } from "./pages/sign_in";
import { TapPage } from "./pages/tap";
import { TracePage } from "./pages/trace";
import { TracesPage } from "./pages/traces";
import { WorkloadPage } from "./pages/workload";
import { at, range, RANGES } from "./range";
import { session, signOut } from "./session";
import { switchTheme, theme } from "./theme";
import { namespace, page, place, set, to } from "./url";
import type { Service } from "./types";

const PAGES: [string, string, IconName][] = [
  ["overview", "Overview", "overview"],
  ["graph", "Graph", "graph"],
  ["services", "Services", "services"],
  ["traces", "Traces", "traces"],
  ["tap", "Tap", "tap"],
  ["config", "Config", "config"],
  ["policy", "Policy", "policy"],
  ["proxies", "Proxies", "proxies"],
];
const PARENT: Record<string, string> = { service: "services", workload: "services", trace: "traces", resource: "config", proxy: "proxies" };
const TIMED = new Set(["overview", "graph", "services", "service", "workload"]);

export function Shell() {
  const current = session.value;
  if (current.state === "out") return <SignIn why={current.why} />;
  if (current.state === "unknown") return <div class="starting"><Skeleton rows={6} /></div>;
  return <SignedIn name={current.me.name} role={current.me.role} />;
}

function SignedIn({ name, role }: { name: string; role: string }) {
  const here = page.value;
  const main = PARENT[here] ?? here;
  const label = PAGES.find(([key]) => key === main)?.[1] ?? "Not found";
  const title = place.value.path.length > 1 ? place.value.path.at(-1)! : label;
  useEffect(() => {
    document.title = `${title} · tulle`;
  }, [title]);
  useEffect(() => {
    if (helpShown.value) open(() => <Help />);
    helpShown.value = false;
  }, [helpShown.value]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the page</a>
      <div class="shell">
        <nav class="rail" aria-label="Pages">
          <a class="brand" href={to("overview")} aria-label="tulle, overview"><Mark /><b>tulle</b></a>
          {PAGES.map(([key, text, icon]) => (
            <a key={key} href={to(key)} aria-current={key === main ? "page" : undefined} title={text}>
              <Icon name={icon} size={17} />
              <span>{text}</span>
            </a>
          ))}
          <span class="space" />
          <div class="who" title={`${name}, ${role}`}>
            <span>
              <b>{name.replace(/, dashboard$/, "")}</b>
              <small>{role}</small>
            </span>
            <button type="button" class="bare" aria-label="Sign out" title="Sign out" onClick={() => void signOut()}><Icon name="out" /></button>
          </div>
        </nav>
        <div class="page">
          <header class="top">
            <h1>
              {main === here ? label : <><a href={to(main)}>{label}</a><span class="muted"> / </span>{title}</>}
            </h1>
            {(main === "graph" || main === "overview") && <Live />}
            <span class="space" />
            {at.value !== null && TIMED.has(here) && (
              <button type="button" class="past" onClick={() => set({ at: undefined })} title="Back to now"><Icon name="clock" size={14} /> {date(at.value)} <Icon name="close" size={12} /></button>
            )}
            <Namespaces />
            {TIMED.has(here) && <Ranges />}
            <button type="button" class="bare tool" aria-label={theme.value === "dark" ? "Light" : "Dark"} title={theme.value === "dark" ? "Light" : "Dark"} onClick={switchTheme}><Icon name={theme.value === "dark" ? "sun" : "moon"} /></button>
            <button type="button" class="bare tool help" aria-label="Help" title="Keys (?)" onClick={() => open(() => <Help />)}><Icon name="help" /></button>
          </header>
          <main id="main" tabIndex={-1} data-page={here}>
            <Page />
          </main>
        </div>
      </div>
      <Dialogs />
      <Notes />
    </>
  );
}

function Page() {
  const [here = "overview", a = "", b = "", c = ""] = place.value.path;
  switch (here) {
    case "overview": return <Overview />;
    case "graph": return <GraphPage />;
    case "services": return <ServicesPage />;
    case "service": return <ServicePage key={`${a}/${b}`} namespace={a} name={b} />;
    case "workload": return <WorkloadPage key={`${a}/${b}`} namespace={a} name={b} />;
    case "traces": return <TracesPage />;
    case "trace": return <TracePage key={a} id={a} />;
    case "tap": return <TapPage />;
    case "config": return <ConfigPage />;
    case "resource": return <ResourcePage key={`${a}/${b}/${c}`} kind={a} namespace={b} name={c} />;
    case "policy": return <PolicyPage />;
    case "proxies": return <ProxiesPage />;
    case "proxy": return <ProxyPage key={a} id={a} />;
    default: return <div class="empty"><b>There is no such page</b><a href={to("overview")}>Overview</a></div>;
  }
}

function Live() {
  const state = liveness.value;
  const words = { live: "live", connecting: "connecting", paused: "paused", past: "past", lost: "reconnecting" }[state];
  const tone = { live: "ok", connecting: "idle", paused: "warn", past: "accent", lost: "bad" }[state];
  return <span class={`badge ${tone} live`} role="status" data-live={state} data-at={graph.value?.at}><i class={`dot ${tone}`} aria-hidden="true" /><span>{words}</span></span>;
}

function Namespaces() {
  const { data } = useGet<Service[]>("v1/services", {}, 30);
  const all = [...new Set([...(data ?? []).map((one) => one.namespace), namespace.value].filter(Boolean))].sort();
  return (
    <label class="pick">
      <span class="unseen">Namespace</span>
      <select aria-label="Namespace" value={namespace.value} onChange={(event) => set({ ns: event.currentTarget.value, focus: undefined, sel: undefined })}>
        <option value="">all namespaces</option>
        {all.map((name) => <option key={name} value={name}>{name}</option>)}
      </select>
    </label>
  );
}

function Ranges() {
  const all = RANGES.includes(range.value) ? RANGES : [...RANGES, range.value];
  return (
    <label class="pick">
      <span class="unseen">Time range</span>
      <select aria-label="Time range" value={range.value} onChange={(event) => set({ t: event.currentTarget.value })}>
        {all.map((text) => <option key={text} value={text}>last {text}</option>)}
      </select>
    </label>
  );
}

function Help() {
  const keys: [string, string][] = [
    ["/", "search on this page"],
    ...JUMPS.map(([key, , label]) => [`g ${key}`, label] as [string, string]),
    ["↑ ↓", "from row to row in a table"],
    ["← → ↑ ↓", "from service to service in the graph"],
    ["+ − 0", "zoom the graph in, out, fit"],
    ["Esc", "leave a field, close a dialog"],
    ["?", "this help"],
  ];
  return (
    <Dialog title="Keys">
      <dl class="keys">
        {keys.map(([key, what]) => (
          <div key={key + what}>
            <dt>{key.split(" ").map((one) => <kbd key={one}>{one}</kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="quiet">All that a page shows is in its address: copy it to share the view.</p>
      <footer><button type="button" onClick={close}>Close</button></footer>
    </Dialog>
  );
}
