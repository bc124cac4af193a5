/** Faults on purpose: a share of a service's calls is delayed, or answered with an error. */
import { useState } from "preact/hooks";
import { faulted, faultOf, Unclear, type Edit, type Fault } from "../documents";
import { open } from "../parts/dialog";
import type { Declared, Service } from "../types";
import { apply } from "./apply";
import { applyCommand, Confirm, Preview } from "./confirm";
import { Cannot } from "./shift";

export function faultDialog(service: Service, declared: Declared[]): void {
  open(() => <Inject service={service} declared={declared} />);
}

function Inject({ service, declared }: { service: Service; declared: Declared[] }) {
  let now: Fault | null = null;
  let why = "";
  try {
    now = faultOf(service, declared);
  } catch (error) {
    why = (error as Error).message;
  }
  const [abort, setAbort] = useState(now?.abort?.percentage?.value ?? (now ? 0 : 10));
  const [status, setStatus] = useState(now?.abort?.httpStatus ?? 503);
  const [slow, setSlow] = useState(now?.delay?.percentage?.value ?? 0);
  const [delay, setDelay] = useState(now?.delay?.fixedDelay ?? "2s");
  if (why) return <Cannot title="Inject a fault" why={why} />;
  const fault: Fault = {};
  if (abort > 0) fault.abort = { percentage: { value: abort }, httpStatus: status };
  if (slow > 0) fault.delay = { percentage: { value: slow }, fixedDelay: delay };
  const none = abort === 0 && slow === 0;
  let edits: Edit[];
  try {
    edits = faulted(service, none ? null : fault, declared);
  } catch (error) {
    if (error instanceof Unclear) return <Cannot title="Inject a fault" why={error.message} />;
    throw error;
  }
  const idle = none && !now;
  return (
    <Confirm title={`Inject a fault into calls of ${service.name}`} verb={none ? "Take the fault away" : "Inject"} danger={!none} disabled={idle} command={applyCommand(edits)} run={() => apply(edits)} wide>
      <p>It is made by the callers' sidecars, before a call leaves them, and holds until it is taken away.</p>
      <div class="weights">
        <label>
          <span><b>Fail</b></span>
          <input type="range" min={0} max={100} value={abort} aria-label="Percent that fail" onInput={(event) => setAbort(Number(event.currentTarget.value))} />
          <output>{abort}%</output>
          <select value={status} aria-label="Status" onChange={(event) => setStatus(Number(event.currentTarget.value))}>
            {[...new Set([400, 403, 404, 429, 500, 502, 503, 504, status])].sort().map((code) => <option key={code} value={code}>{code}</option>)}
          </select>
        </label>
        <label>
          <span><b>Delay</b></span>
          <input type="range" min={0} max={100} value={slow} aria-label="Percent that are delayed" onInput={(event) => setSlow(Number(event.currentTarget.value))} />
          <output>{slow}%</output>
          <select value={delay} aria-label="By how much" onChange={(event) => setDelay(event.currentTarget.value)}>
            {[...new Set(["0.1s", "0.5s", "1s", "2s", "5s", "10s", delay])].map((text) => <option key={text} value={text}>{text}</option>)}
          </select>
        </label>
      </div>
      {!idle && <Preview edits={edits} />}
    </Confirm>
  );
}
