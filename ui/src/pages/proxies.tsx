/** All sidecars: whether they hold what they should, and the certificates by which they prove who they are. */
import { useGet } from "../data";
import { date, plural, span } from "../format";
import { restartDialog } from "../actions/instance";
import { Badge, Dot, Empty, Facts, Failure, Section, Skeleton } from "../parts/basics";
import { inNamespace } from "../parts/command";
import { Search } from "../parts/search";
import { Table } from "../parts/table";
import { isAdmin } from "../session";
import type { Ca, Proxy } from "../types";
import { about, asked, namespace, to } from "../url";
import { SyncOf, toneOfHealth } from "./instances";

export function ProxiesPage() {
  const proxies = useGet<Proxy[]>("v1/proxies");
  const ca = useGet<Ca>("v1/ca", {}, 15);
  const ns = namespace.value;
  const words = asked("q").toLowerCase();
  const rows = (proxies.data ?? []).filter((one) => (!ns || one.namespace === ns) && `${one.namespace}/${one.id}`.includes(words));
  const now = Date.now() / 1000;
  const trust = new Map(ca.data?.proxies.map((one) => [one.id, one]));
  const newest = ca.data?.roots.find((root) => root.signs)?.id;
  return (
    <div class="stack">
      <Section title="Proxies" note={proxies.data ? `${rows.filter((one) => one.in_sync && one.connected).length} of ${rows.length} in sync` : ""} command={`tulle proxies${inNamespace(ns)}`} actions={<Search placeholder="Search proxies" />} flush>
        {proxies.error && !proxies.data ? <Failure error={proxies.error} again={proxies.again} /> : proxies.loading ? <Skeleton rows={8} /> : (
          <Table
            name="proxies"
            rows={rows}
            order="id"
            keyOf={(one) => one.id}
            columns={[
              { key: "id", label: "Proxy", by: (one) => one.id, cell: (one) => <><Dot tone={toneOfHealth(one.health)} /><a href={to(`proxy/${one.id}`)}>{one.id}</a></> },
              { key: "service", label: "Service", wide: true, by: (one) => `${one.namespace}/${one.service}`, cell: (one) => <a href={to(about("service", one.namespace, one.service))}>{one.service}<small class="muted"> {one.namespace}</small></a> },
              { key: "health", label: "Health", by: (one) => one.health, cell: (one) => <span class={`text ${toneOfHealth(one.health)}`}>{one.health}</span> },
              { key: "sync", label: "Config", by: (one) => Number(one.in_sync && one.connected), cell: (one) => <SyncOf proxy={one} /> },
              { key: "since", label: "Since", number: true, by: (one) => one.since, cell: (one) => (one.since === null ? "–" : span(now - one.since)) },
              { key: "session", label: "Session", number: true, wide: true, by: (one) => one.connected_since, cell: (one) => (one.connected_since === null ? "–" : span(now - one.connected_since)) },
              { key: "trust", label: "Certificates", cell: (one) => <Certificates of={trust.get(one.id)} newest={newest} now={now} /> },
              { key: "names", label: "Hosts", number: true, title: "Hosts that it has asked for, or was given ahead", by: (one) => one.names, cell: (one) => one.names },
              { key: "capture", label: "Capture", wide: true, by: (one) => one.capture, cell: (one) => one.capture },
              { key: "address", label: "Takes calls at", wide: true, by: (one) => one.address, cell: (one) => <code>{`${one.address}:${one.inbound_port}`}</code> },
              ...(isAdmin.value ? [{ key: "act", label: "", cell: (one: Proxy) => <span class="row-actions"><button type="button" onClick={() => restartDialog(one.id)}>Restart</button></span> }] : []),
            ]}
            empty={words ? <Empty title={`No proxy is called like "${words}"`} /> : <Empty title="No proxy yet" command="tulle run web --port 8000 -- python -m http.server 8000">Each program that runs in the mesh has one.</Empty>}
          />
        )}
      </Section>
      <Section title="Certificate authority" note={ca.data?.phase} command="tulle ca">
        {ca.data ? <Authority ca={ca.data} now={now} /> : ca.error ? <Failure error={ca.error} /> : <Skeleton rows={3} />}
      </Section>
    </div>
  );
}

/** Drift: an Envoy that trusts, or proves itself by, something other than the mesh does now. */
function Certificates({ of, newest, now }: { of: Ca["proxies"][number] | undefined; newest: string | undefined; now: number }) {
  if (!of) return <span class="muted">–</span>;
  const ends = of.ends == null ? "" : span(of.ends - now);
  if (!of.trusts) return <Badge tone="warn" title="It has not taken up all that is to be trusted">old trust</Badge>;
  if (of.root && newest && of.root !== newest) return <Badge tone="warn" title="Its certificates lead to an older root">old root</Badge>;
  if (of.ends != null && of.ends - now < 300) return <Badge tone="bad">{`ends in ${ends}`}</Badge>;
  return <Badge tone="ok">{ends ? `${ends} left` : "current"}</Badge>;
}

function Authority({ ca, now }: { ca: Ca; now: number }) {
  return (
    <Facts
      facts={[
        ["Phase", ca.phase],
        ...ca.roots.map((root): [string, preact.ComponentChildren] => [root.signs ? "Root, signs" : "Root", <><code>{root.id.slice(0, 16)}</code> {root.subject}, ends {date(root.ends)} <span class="muted">in {span(root.ends - now)}</span></>]),
        ...ca.issuers.map((one): [string, preact.ComponentChildren] => [`Issuer, ${one.state}`, <><code>{one.id.slice(0, 16)}</code>, ends {date(one.ends)} <span class="muted">in {span(one.ends - now)}</span></>]),
        ["Proxies", `${ca.trusting} of ${plural(ca.proxies.length, "proxy", "proxies")} trust all of it, ${ca.renewed} have certificates of the newest root`],
        ["Revocation", ca.revokes ? "revoked certificates are refused when a connection is made" : "an authority may not sign lists of revoked certificates"],
      ]}
    />
  );
}
