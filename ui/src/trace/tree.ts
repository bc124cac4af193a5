/** A trace as a tree of spans in the order of a waterfall, and the path that its duration comes from. Pure. */
import type { Span } from "../types";

export interface Row {
  span: Span;
  depth: number;
  children: number;
  /** Whether the trace would have been shorter if this had been. */
  critical: boolean;
}

export interface Waterfall {
  rows: Row[];
  start: number;
  /** Milliseconds. */
  duration: number;
}

/** Spans whose parent is missing are roots as well: part of a trace may be lost. folded: ids whose children are hidden. */
export function waterfall(spans: Span[], folded: ReadonlySet<string> = new Set()): Waterfall {
  const ids = new Set(spans.map((span) => span.id));
  const children = new Map<string, Span[]>();
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const parent = span.parent && ids.has(span.parent) && span.parent !== span.id ? span.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const start = Math.min(...spans.map((span) => span.start));
  const end = Math.max(...spans.map((span) => endOf(span)));
  const path = criticalPath(children);
  const rows: Row[] = [];
  const seen = new Set<string>();
  const walk = (span: Span, depth: number) => {
    if (seen.has(span.id)) return;
    seen.add(span.id);
    const below = children.get(span.id) ?? [];
    rows.push({ span, depth, children: below.length, critical: path.has(span.id) });
    if (!folded.has(span.id)) for (const child of below) walk(child, depth + 1);
  };
  for (const root of children.get("") ?? []) walk(root, 0);
  if (!rows.length && spans[0]) walk(spans[0], 0); // a ring of parents
  return { rows, start, duration: spans.length ? Math.max((end - start) * 1000, 0.001) : 0 };
}

export const endOf = (span: Span): number => span.start + span.duration_ms / 1000;

/** From the longest root, always to the child that ended last before what is already on the path began. */
function criticalPath(children: Map<string, Span[]>): Set<string> {
  const path = new Set<string>();
  const walk = (span: Span) => {
    if (path.has(span.id)) return;
    path.add(span.id);
    let until = Infinity;
    for (const child of [...(children.get(span.id) ?? [])].sort((a, b) => endOf(b) - endOf(a))) {
      if (endOf(child) <= until + 0.0005) {
        walk(child);
        until = child.start;
      }
    }
  };
  const root = [...(children.get("") ?? [])].sort((a, b) => b.duration_ms - a.duration_ms)[0];
  if (root) walk(root);
  return path;
}

const hues = new Map<string, number>();

/** One of eight colours, by the order in which services were seen: the first eight differ. */
export function hueOf(service: string): number {
  const known = hues.get(service) ?? hues.size % 8;
  hues.set(service, known);
  return known;
}
