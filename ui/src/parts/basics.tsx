/** Small things that every page is made of. */
import type { ComponentChildren } from "preact";
import type { Refused } from "../api";
import { Command } from "./command";

export type Tone = "ok" | "warn" | "bad" | "idle" | "accent";

export function Badge({ tone = "idle", children, title }: { tone?: Tone; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}

export function Dot({ tone }: { tone: Tone }) {
  return <i class={`dot ${tone}`} aria-hidden="true" />;
}

/** A part of a page, with its name, how many there are, and the command that tells the same. */
export function Section(props: {
  title: string;
  note?: ComponentChildren;
  command?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
  flush?: boolean;
}) {
  return (
    <section class={`card ${props.flush ? "flush" : ""}`} aria-label={props.title}>
      <header>
        <h2>{props.title}</h2>
        {props.note != null && <span class="note">{props.note}</span>}
        <span class="space" />
        {props.actions}
        {props.command && <Command text={props.command} />}
      </header>
      {props.children}
    </section>
  );
}

/** Where nothing is to be shown: why, and what to do about it. */
export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <b>{title}</b>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}

export function Failure({ error, again }: { error: Refused; again?: () => void }) {
  return (
    <div class="failure" role="alert">
      <span>{error.message}</span>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Skeleton({ rows = 4 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  );
}

export function Tile(props: {
  label: string;
  value: string;
  unit?: string;
  tone?: Tone;
  note?: ComponentChildren;
  href?: string;
  children?: ComponentChildren;
}) {
  const inside = (
    <>
      <span class="label">{props.label}</span>
      <span class="value">
        {props.value}
        {props.unit && <small>{props.unit}</small>}
      </span>
      {props.note != null && <span class="note">{props.note}</span>}
      {props.children}
    </>
  );
  const name = `tile ${props.tone ?? ""}`;
  return props.href ? (
    <a class={name} href={props.href}>
      {inside}
    </a>
  ) : (
    <div class={name}>{inside}</div>
  );
}

export function Tabs({ tabs, current, hrefOf }: { tabs: [string, string, number?][]; current: string; hrefOf: (tab: string) => string }) {
  return (
    <nav class="tabs" aria-label="Parts">
      {tabs.map(([key, label, number]) => (
        <a key={key} href={hrefOf(key)} aria-current={key === current ? "page" : undefined}>
          {label}
          {number != null && number > 0 && <span class="number">{number}</span>}
        </a>
      ))}
    </nav>
  );
}

export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** How much of a whole, as a bar. */
export function Share({ of, label }: { of: number; label: string }) {
  return (
    <span class="share" role="img" aria-label={label}>
      <i style={{ width: `${(Math.min(1, Math.max(0, of)) * 100).toFixed(1)}%` }} />
    </span>
  );
}
