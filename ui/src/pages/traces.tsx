/** Traces: a picture of when and how long, and a list. */
import { useGet } from "../data";
import { clock, duration, plural, secondsOf, span } from "../format";
import { Badge, Dot, Empty, Failure, Section, Share, Skeleton } from "../parts/basics";
import { Named } from "../parts/neighbours";
import { Table } from "../parts/table";
import { hueOf } from "../trace/tree";
import type { Service, TraceRow, Traces } from "../types";
import { asked, go, set, to } from "../url";

const LIMIT = 200;

export function TracesPage() {
  const service = asked("service");
  const min = Number(asked("min")) || 0;
  const errors = asked("errors") === "1";
  const reach = secondsOf(asked("since") || "1h") ?? 3600;
  const since = Math.floor((Date.now() / 1000 - reach) / 5) * 5;
  const query = { service, min_ms: min || undefined, errors: errors ? "true" : undefined, limit: LIMIT };
  const traces = useGet<Traces>("v1/traces", { ...query, since: asked("since") ? since - (since % 60) : since - (since % 60) }, 5);
  const services = useGet<Service[]>("v1/services", {}, 30);
  const rows = traces.data?.traces ?? [];
  const command = ["tulle trace ls", service && `--service ${service.split("/")[1]} -n ${service.split("/")[0]}`, min && `--min ${min}ms`, errors && "--errors", `--since ${asked("since") || "1h"}`].filter(Boolean).join(" ");
  return (
    <div class="stack">
      <form class="bar" onSubmit={(event) => { event.preventDefault(); const id = new FormData(event.currentTarget).get("id"); if (id) go(`trace/${encodeURIComponent(String(id).trim())}`); }}>
        <label class="pick"><span>Service</span>
          <select value={service} aria-label="Service" onChange={(event) => set({ service: event.currentTarget.value })}>
            <option value="">any</option>
            {[...new Set([...(services.data ?? []).map((one) => `${one.namespace}/${one.name}`), service].filter(Boolean))].map((id) => <option key={id} value={id}>{id}</option>)}
          </select>
        </label>
        <label class="pick"><span>At least</span>
          <select value={String(min)} aria-label="At least so long" onChange={(event) => set({ min: event.currentTarget.value === "0" ? undefined : event.currentTarget.value })}>
            {[0, 10, 50, 100, 300, 1000, 5000].map((ms) => <option key={ms} value={ms}>{ms ? duration(ms) : "any"}</option>)}
          </select>
        </label>
        <label class="pick"><span>Last</span>
          <select value={asked("since") || "1h"} aria-label="Last" onChange={(event) => set({ since: event.currentTarget.value })}>
            {["5m", "15m", "1h", "6h", "24h"].map((text) => <option key={text} value={text}>{text}</option>)}
          </select>
        </label>
        <label class="tick"><input type="checkbox" checked={errors} onChange={(event) => set({ errors: event.currentTarget.checked ? "1" : undefined })} /> Errors only</label>
        <span class="space" />
        <label class="search"><input data-search name="id" type="search" placeholder="Trace or request id" aria-label="Trace or request id" spellcheck={false} /><kbd aria-hidden="true">/</kbd></label>
      </form>
      {traces.error && !traces.data ? <Failure error={traces.error} again={traces.again} /> : traces.loading ? <Skeleton rows={8} /> : (
        <>
          {traces.data?.lost?.trouble && <p class="failure" role="alert">Spans are lost: {traces.data.lost.trouble}</p>}
          {rows.length > 1 && <Section title="Duration over time" note={`${plural(rows.length, "trace")}${rows.length === LIMIT ? ", the newest" : ""}`}><Scatter rows={rows} /></Section>}
          <Section title="Traces" note={rows.length ? String(rows.length) : ""} command={command} flush>
            <Table
              name="traces"
              rows={rows}
              order="-start"
              keyOf={(row) => row.id}
              columns={[
                { key: "root", label: "Root", by: (row) => row.root.service, cell: (row) => <><Dot tone={row.errors ? "bad" : "ok"} /><a href={to(`trace/${row.id}`)}><Named service={row.root.service} /> <span title={row.root.name}>{row.root.name.replace(".svc.cluster.local", "")}</span></a></> },
                { key: "duration", label: "Duration", number: true, by: (row) => row.duration_ms, cell: (row) => <Long row={row} most={Math.max(...rows.map((one) => one.duration_ms))} /> },
                { key: "spans", label: "Spans", number: true, by: (row) => row.spans, cell: (row) => row.spans },
                { key: "errors", label: "Errors", number: true, by: (row) => row.errors, cell: (row) => (row.errors ? <Badge tone="bad">{row.errors}</Badge> : "–") },
                { key: "services", label: "Services", wide: true, cell: (row) => <span class="hues">{row.services.map((name) => <span key={name}><i class={`hue h${hueOf(name)}`} aria-hidden="true" />{name.split(".")[0]}</span>)}</span> },
                { key: "start", label: "Start", number: true, by: (row) => row.start, cell: (row) => <span title={clock(row.start, true)}>{span(Date.now() / 1000 - row.start)} ago</span> },
                { key: "id", label: "Trace", wide: true, cell: (row) => <code>{row.id.slice(0, 8)}</code> },
              ]}
              empty={<Empty title="No trace that fits" command="tulle run --trace web --port 8000 -- python app.py">Sidecars sample calls; with <code>--trace</code> the program's own spans join them.</Empty>}
            />
          </Section>
        </>
      )}
    </div>
  );
}

function Long({ row, most }: { row: TraceRow; most: number }) {
  return <span class="long"><Share of={row.duration_ms / (most || 1)} label="beside the longest" />{duration(row.duration_ms)}</span>;
}

/** Each trace a point for the pointer, beside the list that the keyboard goes through; the scale of its duration logarithmic. */
function Scatter({ rows }: { rows: TraceRow[] }) {
  const [width, height, left, bottom] = [innerWidth < 760 ? 460 : 1000, 150, 58, 20]; // what is drawn is scaled, its text as well
  const [from, to_] = [Math.min(...rows.map((row) => row.start)), Math.max(...rows.map((row) => row.start))];
  const low = Math.floor(Math.log10(Math.max(0.01, Math.min(...rows.map((row) => row.duration_ms)))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...rows.map((row) => row.duration_ms), 0.1))));
  const x = (time: number) => left + ((time - from) / Math.max(1, to_ - from)) * (width - left - 14);
  const y = (ms: number) => 8 + (1 - (Math.log10(Math.max(ms, 10 ** low)) - low) / (high - low)) * (height - bottom - 8);
  return (
    <svg class="scatter" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${rows.length} traces by their start and duration`}>
      {Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)).map((ms) => (
        <g key={ms} class="grid"><path d={`M${left},${y(ms)}H${width}`} /><text x={left - 8} y={y(ms) + 3.5}>{duration(ms)}</text></g>
      ))}
      {(width < 760 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]).map((share) => <text key={share} class="tick" x={x(from + share * (to_ - from))} y={height - 4} text-anchor={share === 1 ? "end" : share ? "middle" : "start"}>{clock(from + share * (to_ - from))}</text>)}
      {rows.map((row) => (
        <circle key={row.id} class={row.errors ? "bad" : ""} cx={x(row.start)} cy={y(row.duration_ms)} r={3 + Math.min(4, Math.sqrt(row.spans) / 2)} onClick={() => go(`trace/${row.id}`)}>
          <title>{`${row.root.name}, ${duration(row.duration_ms)}`}</title>
        </circle>
      ))}
    </svg>
  );
}
