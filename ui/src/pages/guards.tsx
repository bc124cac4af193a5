/** The policies of a service in the order in which they count, with how often each rule has decided. */
import { useGet } from "../data";
import { count, date } from "../format";
import { Badge, Empty, Facts, Failure, Section, Skeleton, type Tone } from "../parts/basics";
import { mainPort } from "../instances";
import type { Decision, Guard, Guards, Service } from "../types";
import { to } from "../url";

const TONES: Record<string, Tone> = { ALLOW: "ok", DENY: "bad", CUSTOM: "accent", AUDIT: "idle", STRICT: "ok", PERMISSIVE: "warn", DISABLED: "bad" };

/** service: undefined if the mesh does not know it. */
export function GuardsOf({ namespace, name, service }: { namespace: string; name: string; service: Service | undefined }) {
  const isServed = mainPort(service) !== undefined;
  const found = useGet<Guards>(isServed ? "v1/authz/guards" : null, { service: name, namespace }, 5);
  const command = `tulle authz explain ${name} -n ${namespace}`;
  if (!isServed) return <Empty title="No instance of it serves at a port now, so there is nothing to guard" command={command} />;
  if (found.error && !found.data) return <Failure error={found.error} again={found.again} />;
  if (!found.data) return <Skeleton rows={5} />;
  return (
    <>
      {found.data.guards.map((guard) => (
        <Section key={`${guard.port} ${guard.proxies[0]}`} title={`Port ${guard.port}`} note={`${guard.protocol}, ${guard.proxies.length === 1 ? guard.proxies[0] : `${guard.proxies.length} instances`}`} command={command}>
          <One guard={guard} />
        </Section>
      ))}
    </>
  );
}

function One({ guard }: { guard: Guard }) {
  return (
    <>
      <Facts
        facts={[
          ["Mutual TLS", <><Badge tone={TONES[guard.mutual_tls]}>{guard.mutual_tls}</Badge> {guard.peer_authentications.map((one) => <Source key={one.source} source={one.source} />)}</>],
          ...(guard.issuers.length ? [["Tokens of", guard.issuers.join(", ")] as [string, string]] : []),
          ["Any other call", guard.otherwise],
        ]}
      />
      {guard.policies.length > 0 && (
        <ol class="policies">
          {guard.policies.map((policy) => (
            <li key={policy.place.source}>
              <p><Badge tone={TONES[policy.action]}>{policy.action}</Badge> <Source source={policy.place.source} />{policy.dry_run && <Badge tone="warn">dry run</Badge>}{policy.provider && <span class="muted">asks {policy.provider}</span>}</p>
              <ul>{policy.rules.map((rule) => <li key={rule.place.path}>{rule.text}<Counts of={guard.decisions} source={policy.place.source} place={rule.place.path} /></li>)}</ul>
            </li>
          ))}
        </ol>
      )}
      <Counts of={guard.decisions} source="" place="" />
    </>
  );
}

function Counts({ of, source, place }: { of: Decision[]; source: string; place: string }) {
  const mine = of.filter((one) => one.source === source && one.place === place);
  return <>{mine.map((one) => <small key={one.what + one.caller} class="counted">{one.what} {count(one.count)} times, last {date(one.last)}, {one.caller || "a caller without a certificate"}</small>)}</>;
}

/** `AuthorizationPolicy default/viewers` as a link. */
export function Source({ source }: { source: string }) {
  const [kind, id] = source.split(" ");
  const [namespace, name] = (id ?? "").split("/");
  return name ? <a href={to(["resource", kind, namespace, name].map((part) => encodeURIComponent(part!)).join("/"))}>{source}</a> : <span>{source}</span>;
}
