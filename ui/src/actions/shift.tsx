/** Dividing a service's calls among its versions. */
import { useState } from "preact/hooks";
import { shifted, Unclear, unserved, weightsOf, type Edit } from "../documents";
import { Badge } from "../parts/basics";
import { close, Dialog, open } from "../parts/dialog";
import type { Declared, Service } from "../types";
import { apply } from "./apply";
import { Confirm, Preview } from "./confirm";

export function shiftDialog(service: Service, declared: Declared[]): void {
  open(() => <Shift service={service} declared={declared} />);
}

export function versionsOf(service: Service): string[] {
  return [...new Set(service.instances.map((one) => one.version || one.labels.version || "").filter(Boolean))].sort();
}

/** The others give or take in proportion, so that all are 100 together. */
export function rebalanced(weights: Record<string, number>, version: string, value: number): Record<string, number> {
  const others = Object.keys(weights).filter((one) => one !== version);
  const before = others.reduce((sum, one) => sum + weights[one]!, 0);
  const rest = others.length ? 100 - value : 0;
  const next: Record<string, number> = {};
  let left = rest;
  for (const key of Object.keys(weights)) {
    if (key === version) next[key] = others.length ? value : 100;
    else {
      const isLast = key === others.at(-1);
      const share = before ? Math.round((weights[key]! * rest) / before) : Math.round(rest / others.length);
      next[key] = isLast ? left : Math.min(left, share);
      left -= next[key]!;
    }
  }
  return next;
}

function Shift({ service, declared }: { service: Service; declared: Declared[] }) {
  const running = versionsOf(service);
  const [weights, setWeights] = useState(() => startOf(service, running, declared));
  if (weights === null || Object.keys(weights).length === 0) {
    return <Cannot title="Shift traffic" why={running.length ? "Its rules divide calls in a way of their own: change them under Config." : "No instance says which version it is. Start them with tulle run --version v1."} />;
  }
  let edits: Edit[];
  let nobodys: { idle: string[]; risen: string[] };
  try {
    edits = shifted(service, weights, declared);
    nobodys = unserved(service, weights, declared);
  } catch (error) {
    if (error instanceof Unclear) return <Cannot title="Shift traffic" why={error.message} />;
    throw error;
  }
  const { idle, risen } = nobodys;
  const words = Object.entries(weights).map(([version, weight]) => `${version}=${weight}`).join(" ");
  return (
    <Confirm title={`Shift traffic of ${service.name}`} verb={`Shift ${words}`} command={`tulle shift ${service.name}.${service.namespace} ${words}`} run={() => apply(edits)} disabled={risen.length > 0} wide>
      <div class="weights">
        {Object.entries(weights).map(([version, weight]) => (
          <label key={version}>
            <span><b>{version}</b>{idle.includes(version) && <Badge tone="warn">nobody runs it</Badge>}</span>
            <input type="range" min={0} max={100} value={weight} disabled={Object.keys(weights).length < 2} aria-label={`Percent for ${version}`} onInput={(event) => setWeights(rebalanced(weights, version, Number(event.currentTarget.value)))} />
            <output>{weight}%</output>
          </label>
        ))}
      </div>
      {risen.length > 0 && <p class="failure" role="alert">No instance has the version {risen.join(", ")} now, so calls for it would fail. There {running.length === 1 ? "is" : "are"} {running.join(", ") || "none"}.</p>}
      <Preview edits={edits} />
    </Confirm>
  );
}

function startOf(service: Service, running: string[], declared: Declared[]): Record<string, number> | null {
  try {
    const now = weightsOf(service, declared);
    const all = [...new Set([...Object.keys(now ?? {}), ...running])].sort();
    if (now) return Object.fromEntries(all.map((version) => [version, now[version] ?? 0]));
    const share = Math.floor(100 / (all.length || 1));
    return Object.fromEntries(all.map((version, index) => [version, index ? share : 100 - share * (all.length - 1)]));
  } catch (error) {
    if (error instanceof Unclear) return null;
    throw error;
  }
}

export function Cannot({ title, why }: { title: string; why: string }) {
  return (
    <Dialog title={title}>
      <p>{why}</p>
      <footer><button type="button" onClick={close}>Close</button></footer>
    </Dialog>
  );
}
