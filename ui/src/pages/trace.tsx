/** One trace: a waterfall of its spans, and all that one of them says. */
import { useMemo } from "preact/hooks";
import { useGet } from "../data";
import { date, duration, plural } from "../format";
import { Badge, Empty, Facts, Failure, Section, Skeleton } from "../parts/basics";
import { Icon } from "../parts/icons";
import { Named } from "../parts/neighbours";
import { endOf, hueOf, waterfall, type Row, type Waterfall } from "../trace/tree";
import type { Span, Trace } from "../types";
import { asked, set, to } from "../url";

export function TracePage({ id }: { id: string }) {
  const trace = useGet<Trace>(`v1/traces/${encodeURIComponent(id)}`, {}, 0);
  const folds = asked("fold");
  const fall = useMemo(() => trace.data && waterfall(trace.data.spans, new Set(folds.split(",").filter(Boolean))), [trace.data, folds]);
  if (trace.error) return trace.error.status === 404 ? <Empty title="There is no such trace" command="tulle trace ls">The store is bounded: the oldest traces go first.</Empty> : <Failure error={trace.error} again={trace.again} />;
  if (!trace.data || !fall) return <Skeleton rows={10} />;
  const spans = trace.data.spans;
  const chosen = spans.find((span) => span.id === asked("span")) ?? null;
  const services = [...new Set(spans.map((span) => span.service))];
  const errors = spans.filter((span) => span.error).length;
  const critical = asked("critical") === "1";
  return (
    <div class="stack">
      <header class="head">
        <div>
          <h2>{fall.rows[0]?.span.name ?? "trace"} <small>{fall.rows[0]?.span.service}</small></h2>
          <p>
            <code>{trace.data.id}</code>
            <span>{date(fall.start)}</span>
            <Badge>{duration(fall.duration)}</Badge>
            <Badge>{plural(spans.length, "span")}</Badge>
            <Badge>{plural(services.length, "service")}</Badge>
            {errors > 0 && <Badge tone="bad">{plural(errors, "error")}</Badge>}
          </p>
        </div>
      </header>
      <div class={chosen ? "with-detail" : ""}>
        <Section
          title="Waterfall"
          command={`tulle trace show ${trace.data.id.slice(0, 16)}`}
          actions={<button type="button" aria-pressed={critical} onClick={() => set({ critical: critical ? undefined : "1" }, true)} title="What the duration comes from">Critical path</button>}
          flush
        >
          <Ruler fall={fall} />
          <ol class={`waterfall ${critical ? "critical" : ""}`}>
            {fall.rows.map((row) => <Line key={row.span.id} row={row} fall={fall} chosen={row.span.id === chosen?.id} folded={folds.includes(row.span.id)} />)}
          </ol>
        </Section>
        {chosen && <Detail span={chosen} fall={fall} />}
      </div>
    </div>
  );
}

function Ruler({ fall }: { fall: Waterfall }) {
  return (
    <div class="ruler" aria-hidden="true">
      <span />
      <div>{[0, 0.25, 0.5, 0.75, 1].map((share) => <i key={share} style={{ left: `${share * 100}%` }}>{duration(fall.duration * share)}</i>)}</div>
    </div>
  );
}

function Line({ row, fall, chosen, folded }: { row: Row; fall: Waterfall; chosen: boolean; folded: boolean }) {
  const { span, depth } = row;
  const left = ((span.start - fall.start) * 100_000) / fall.duration;
  const width = (span.duration_ms * 100) / fall.duration;
  const fold = () => {
    const all = new Set(asked("fold").split(",").filter(Boolean));
    if (!all.delete(span.id)) all.add(span.id);
    set({ fold: [...all].join(",") }, true);
  };
  return (
    <li class={`${chosen ? "chosen" : ""} ${span.error ? "failed" : ""} ${row.critical ? "on-path" : ""}`} data-span={span.id}>
      <div class="span-name" style={{ paddingLeft: `${8 + depth * 14}px` }}>
        {row.children ? (
          <button type="button" class="bare" aria-expanded={!folded} aria-label={`${folded ? "Show" : "Hide"} what ${span.name} has led to`} onClick={fold}><Icon name={folded ? "right" : "down"} size={11} /></button>
        ) : <i class="leaf" />}
        <button type="button" class="bare" aria-pressed={chosen} onClick={() => set({ span: chosen ? undefined : span.id }, true)}>
          <i class={`hue h${hueOf(span.service)}`} aria-hidden="true" />
          <Named service={span.service} /> <span>{span.name}</span>
          {span.error && <Badge tone="bad">error</Badge>}
        </button>
      </div>
      <div class="span-bar" onClick={() => set({ span: span.id }, true)}>
        <i class={`h${hueOf(span.service)}`} style={{ left: `${Math.min(left, 99.6)}%`, width: `${Math.max(width, 0.3)}%` }} />
        <small style={{ left: `${Math.min(100, left + width) + 0.6}%` }}>{duration(span.duration_ms)}</small>
      </div>
    </li>
  );
}

function Detail({ span, fall }: { span: Span; fall: Waterfall }) {
  const attributes = Object.entries(span.attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <aside class="detail" aria-label="Span">
      <button type="button" class="bare close" aria-label="Close the details" onClick={() => set({ span: undefined }, true)}><Icon name="close" /></button>
      <header>
        <small>{span.service}</small>
        <h2>{span.name}</h2>
        <p><Badge>{span.kind}</Badge>{span.error && <Badge tone="bad">error</Badge>}</p>
      </header>
      <Facts
        facts={[
          ["Duration", duration(span.duration_ms)],
          ["From", `${duration((span.start - fall.start) * 1000)} to ${duration((endOf(span) - fall.start) * 1000)}`],
          ["Span", <code key="id">{span.id}</code>],
          ["Instance", span.instance ? <a key="instance" href={to(`proxy/${span.instance}`)}>{span.instance}</a> : "–"],
          ["Made by", span.scope || "–"],
        ]}
      />
      <h3>Attributes</h3>
      {attributes.length ? <dl class="attributes">{attributes.map(([key, value]) => <div key={key}><dt>{key}</dt><dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd></div>)}</dl> : <p class="quiet">None.</p>}
      {span.events.length > 0 && <h3>Events</h3>}
      {span.events.map((event) => (
        <div key={event.name + event.time} class="span-event">
          <b>{event.name}</b> <small class="muted">{duration((event.time - fall.start) * 1000)}</small>
          <dl class="attributes">{Object.entries(event.attributes).map(([key, value]) => <div key={key}><dt>{key}</dt><dd>{String(value)}</dd></div>)}</dl>
        </div>
      ))}
    </aside>
  );
}
