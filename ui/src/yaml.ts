/** Values written as YAML, as `tulle get -o yaml` does; the control plane reads it. Pure. */

const PLAIN = /^(?:[A-Za-z_/][\w ./:@*+-]*|\d+(?:\.\d+)?(?:ms|s|m|h))$/;
const MEANT_OTHERWISE = /^(?:true|false|yes|no|on|off|null|y|n|~)$|: |:$| $/i;

export function yaml(value: unknown): string {
  const text = block(value, 0);
  return text.startsWith("\n") ? `${text.slice(1)}\n` : `${text.trimStart()}\n`;
}

function block(value: unknown, depth: number): string {
  const pad = "  ".repeat(depth);
  if (Array.isArray(value)) {
    if (!value.length) return " []";
    return value.map((item) => `\n${pad}- ${inItem(item, depth + 1)}`).join("");
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (!entries.length) return " {}";
    return entries.map(([key, item]) => `\n${pad}${scalar(key)}:${block(item, depth + 1)}`).join("");
  }
  if (typeof value === "string" && value.trimEnd().includes("\n") && !/^\s/.test(value)) return ` ${literal(value, pad)}`;
  return ` ${scalar(value)}`;
}

/** What stands behind a dash: a mapping's first field on the same line. */
function inItem(value: unknown, depth: number): string {
  const text = block(value, depth);
  return text.startsWith("\n") ? text.slice(1 + 2 * depth) : text.slice(1);
}

function literal(text: string, pad: string): string {
  const end = text.endsWith("\n\n") ? "+" : text.endsWith("\n") ? "" : "-";
  const body = end === "-" ? text : text.slice(0, -1);
  return `|${end}\n${body.split("\n").map((line) => (line ? `${pad || "  "}${line}` : "")).join("\n")}`;
}

function scalar(value: unknown): string {
  if (typeof value !== "string") return value === null ? "null" : String(value);
  return PLAIN.test(value) && !MEANT_OTHERWISE.test(value) ? value : JSON.stringify(value);
}

const MARK = "the-field-that-is-looked-for";

/** The line of a field in a document as it is written here, from 0: `spec.http[0].timeout`. -1: there is none. */
export function lineOf(document: object, path: string): number {
  const parts = path.split(/[.[]/).map((part) => part.replace(/\]$/, ""));
  const copy = structuredClone(document) as Record<string, unknown>;
  let at = copy;
  for (const part of parts.slice(0, -1)) {
    const next = at[part];
    if (next === null || typeof next !== "object") return -1;
    at = next as Record<string, unknown>;
  }
  const last = parts.at(-1)!;
  if (!(last in at)) return -1;
  at[last] = MARK;
  return yaml(copy).split("\n").findIndex((line) => line.endsWith(MARK));
}
