/** One sidecar: its state, its certificates, what it has refused and what it holds. */
import { restartDialog, weightDialog } from "../actions/instance";
import { useGet } from "../data";
import { date, span } from "../format";
import { Badge, Facts, Failure, Section, Skeleton } from "../parts/basics";
import { Icon } from "../parts/icons";
import { isAdmin } from "../session";
import type { Ca, Proxy, Service } from "../types";
import { about, to } from "../url";
import { EnvoyConfig } from "./envoy_config";
import { SyncOf, toneOfHealth } from "./instances";

export function ProxyPage({ id }: { id: string }) {
  const found = useGet<Proxy>(`v1/proxies/${encodeURIComponent(id)}`);
  const services = useGet<Service[]>("v1/services");
  const ca = useGet<Ca>("v1/ca", {}, 30);
  if (found.error && !found.data) return <Failure error={found.error} again={found.again} />;
  if (!found.data) return <Skeleton rows={10} />;
  const proxy = found.data;
  const now = Date.now() / 1000;
  const instance = services.data?.flatMap((one) => one.instances).find((one) => one.id === id);
  const trust = ca.data?.proxies.find((one) => one.id === id);
  return (
    <div class="stack">
      <header class="head">
        <div>
          <h2>{proxy.id} <small>{proxy.namespace}</small></h2>
          <p>
            sidecar of <a href={to(about("service", proxy.namespace, proxy.service))}>{proxy.service}</a>
            <Badge tone={toneOfHealth(proxy.health)}>{proxy.health}</Badge>
            <SyncOf proxy={proxy} />
          </p>
        </div>
        <span class="space" />
        {isAdmin.value && (
          <div class="actions">
            {instance && <button type="button" onClick={() => weightDialog(instance)}>Weight {instance.weight}</button>}
            <button type="button" onClick={() => restartDialog(id)}><Icon name="restart" size={14} /> Restart Envoy</button>
          </div>
        )}
      </header>
      {(proxy.rejected.length > 0 || proxy.problems.length > 0) && (
        <Section title="What is wrong">
          {proxy.rejected.map((one) => <div key={one.resource} class="failure"><div><b>{one.resource}</b> was refused; the last good one holds.<pre>{one.message}</pre></div></div>)}
          {proxy.problems.map((one) => <div key={one.part} class="failure"><div><b>{one.part}</b> can't be made, by a mistake of tulle's.<pre>{one.message}</pre></div></div>)}
        </Section>
      )}
      <Section title="State" command={`tulle proxy ${id}`}>
        <Facts
          facts={[
            ["Session", proxy.connected ? `for ${span(proxy.connected_since === null ? null : now - proxy.connected_since)}` : "none"],
            ["In sync", `${proxy.in_sync ? "yes" : "no"}${proxy.since === null ? "" : `, for ${span(now - proxy.since)}`}`],
            ["Takes calls at", <code key="in">{`${proxy.address}:${proxy.inbound_port}`}</code>],
            ["Calls go out by", <><code>{proxy.outbound_port ? `127.0.0.1:${proxy.outbound_port}` : "–"}</code> <span class="muted">{proxy.capture}</span></>],
            ["Hosts", `${proxy.names}${proxy.strangers ? `, and ${proxy.strangers} that are no service` : ""}`],
            ["Refused names", String(proxy.refused)],
            ["Certificates", trust ? <>{trust.trusts ? "trusts all that is to be trusted" : "has not taken up all that is to be trusted"}{trust.root && <>, root <code>{trust.root.slice(0, 16)}</code></>}{trust.ends != null && <>, until {date(trust.ends)} <span class="muted">{span(trust.ends - now)} left</span></>}</> : "–"],
            ...(proxy.metrics ? [["Metrics", <code key="m">{`http://${proxy.metrics}/metrics`}</code>] as [string, preact.ComponentChildren]] : []),
          ]}
        />
      </Section>
      <EnvoyConfig id={id} />
    </div>
  );
}
