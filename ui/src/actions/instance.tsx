/** What can be done to one instance: another share of the calls, a new Envoy. */
import { useState } from "preact/hooks";
import { send } from "../api";
import { changes } from "../data";
import { duration } from "../format";
import { open, say } from "../parts/dialog";
import type { Instance } from "../types";
import { Confirm } from "./confirm";

export function weightDialog(instance: Instance): void {
  open(() => <Weight instance={instance} />);
}

async function weigh(id: string, weight: number, before: number | null): Promise<void> {
  await send("POST", `v1/proxies/${encodeURIComponent(id)}/weight?weight=${weight}`);
  changes.value += 1;
  const undo = () => weigh(id, before!, null).catch((error: Error) => say(`Not undone: ${error.message}`, "bad"));
  say(`${id} has the weight ${weight}`, "ok", before === null ? undefined : { label: "Undo", run: () => void undo() });
}

function Weight({ instance }: { instance: Instance }) {
  const [text, setText] = useState(String(instance.weight));
  const weight = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return (
    <Confirm title={`Weight of ${instance.id}`} verb="Set weight" disabled={weight < 1} command={`tulle weight ${instance.id} ${weight || "WEIGHT"}`} run={() => weigh(instance.id, weight, instance.weight)}>
      <label class="field">
        <span>Weight</span>
        <input type="number" min={1} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <p class="quiet">Beside others of the weight 1 it gets {weight > 1 ? `${weight} times as many calls` : "as many calls as they do"}, until it ends.</p>
    </Confirm>
  );
}

export function restartDialog(id: string): void {
  const run = async () => {
    const done = await send<{ seconds: number }>("POST", `v1/proxies/${encodeURIComponent(id)}/restart`);
    changes.value += 1;
    say(`A new Envoy has taken over from that of ${id}, in ${duration(done.seconds * 1000)}`);
  };
  open(() => (
    <Confirm title={`Restart the Envoy of ${id}`} verb="Restart" command={`tulle proxy ${id} restart`} run={run}>
      <p>A new Envoy takes over the listening sockets once it holds what the old one holds. No call fails, and the program goes on.</p>
    </Confirm>
  ));
}
