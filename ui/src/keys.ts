/** The keyboard: one table of what keys do, which the help shows as well. */
import { signal } from "@preact/signals";
import { go } from "./url";

export const helpShown = signal(false);

export const JUMPS: [string, string, string][] = [
  ["o", "overview", "Overview"],
  ["g", "graph", "Graph"],
  ["s", "services", "Services"],
  ["t", "traces", "Traces"],
  ["l", "tap", "Live requests"],
  ["c", "config", "Config"],
  ["p", "policy", "Policy"],
  ["x", "proxies", "Proxies"],
];

let leader = 0;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function search(): boolean {
  const field = document.querySelector<HTMLInputElement>("main [data-search]");
  field?.focus();
  field?.select();
  return field !== null;
}

export function followKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    const jump = Date.now() - leader < 1200 && JUMPS.find(([key]) => key === event.key);
    if (jump) {
      leader = 0;
      go(jump[1]);
    } else if (event.key === "g") leader = Date.now();
    else if (event.key === "/") {
      if (!search()) return;
    } else if (event.key === "?") helpShown.value = true;
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!alongRows(event.target as HTMLElement, event.key === "ArrowDown" ? 1 : -1)) return;
    } else return;
    event.preventDefault();
  });
}

/** Up and down in a table, from one row's link to the next. */
function alongRows(from: HTMLElement, step: number): boolean {
  const row = from.closest?.("tr");
  if (!row) return false;
  let next = (step > 0 ? row.nextElementSibling : row.previousElementSibling) as HTMLElement | null;
  while (next) {
    const link = next.querySelector<HTMLElement>("a, button");
    if (link) {
      link.focus();
      return true;
    }
    next = (step > 0 ? next.nextElementSibling : next.previousElementSibling) as HTMLElement | null;
  }
  return false;
}
