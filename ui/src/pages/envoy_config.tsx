/** What one Envoy holds: its listeners, routes, clusters and endpoints, each whole as Envoy has it. */
import { useState } from "preact/hooks";
import { useGet } from "../data";
import { Badge, Empty, Failure, Section, Skeleton, Tabs, type Tone } from "../parts/basics";
import { Icon } from "../parts/icons";
import { Search } from "../parts/search";
import type { Config, EnvoyResource } from "../types";
import { asked, place, set, written } from "../url";

const PARTS = ["listeners", "routes", "clusters", "endpoints"] as const;
const TONES: Record<string, Tone> = { acked: "ok", sent: "idle", pending: "warn", rejected: "bad" };

export function EnvoyConfig({ id }: { id: string }) {
  const config = useGet<Config>(`v1/proxies/${encodeURIComponent(id)}/config`, {}, 10);
  const part = (PARTS as readonly string[]).includes(asked("part")) ? (asked("part") as (typeof PARTS)[number]) : "listeners";
  const words = asked("q").toLowerCase();
  if (config.error && !config.data) return <Failure error={config.error} again={config.again} />;
  if (!config.data) return <Skeleton rows={6} />;
  const rows = config.data[part].filter((one) => one.name.toLowerCase().includes(words));
  const hrefOf = (key: string) => {
    const query = new URLSearchParams(place.value.query);
    query.set("part", key);
    return written(place.value.path, query);
  };
  return (
    <Section title="Config in force" command={`tulle proxy ${id} ${part}`} actions={<Search placeholder="Search names" />} flush>
      <Tabs current={part} hrefOf={hrefOf} tabs={PARTS.map((one) => [one, one[0]!.toUpperCase() + one.slice(1), config.data![one].length])} />
      {rows.length ? (
        <ul class="resources">{rows.map((one) => <One key={one.name} one={one} />)}</ul>
      ) : <Empty title={words ? "No name is like that" : `It holds no ${part}`}>{words ? undefined : "A sidecar holds what its program has called, and asks for more when it is needed."}</Empty>}
    </Section>
  );
}

function One({ one }: { one: EnvoyResource }) {
  const [shown, setShown] = useState(asked("name") === one.name);
  return (
    <li>
      <button type="button" class="bare expand" aria-expanded={shown} onClick={() => { setShown(!shown); set({ name: shown ? undefined : one.name }, true); }}>
        <Icon name={shown ? "down" : "right"} size={12} />
        <code>{one.name}</code>
        <span class="space" />
        <small class="muted">{one.version.slice(0, 12)}</small>
        <Badge tone={TONES[one.state] ?? "idle"}>{one.state}</Badge>
      </button>
      {shown && <pre class="code" tabIndex={0}>{JSON.stringify(one.resource, null, 2)}</pre>}
    </li>
  );
}
