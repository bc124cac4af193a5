/** Live requests: the last few hundred, for as long as the page is open. */
import { signal } from "@preact/signals";
import { lines, Refused, type Query } from "./api";
import type { Tapped } from "./types";

export const MOST = 500;

export type Tapping = "off" | "on" | "ended";

export const calls = signal<(Tapped & { key: number })[]>([]);
export const tapping = signal<Tapping>("off");
export const tapProblem = signal("");
/** How many have come in all; the oldest are not kept. */
export const seen = signal(0);
/** How many came too fast. */
export const lost = signal(0);

let aborter: AbortController | null = null;
let waiting: (Tapped & { key: number })[] = [];
let timer: number | undefined;

export function start(query: Query): void {
  stop();
  calls.value = [];
  seen.value = 0;
  lost.value = 0;
  tapProblem.value = "";
  tapping.value = "on";
  const mine = new AbortController();
  aborter = mine;
  let number = 0;
  const take = (line: Tapped) => {
    waiting.push({ ...line, key: number++ });
    timer ??= window.setTimeout(show, 150); // drawn a few times a second, however many come
  };
  lines<Tapped>("v1/tap", query, take, mine.signal)
    .then(() => ended(mine, ""))
    .catch((error: unknown) => mine.signal.aborted || ended(mine, error instanceof Refused ? error.message : "The stream ended."));
}

function show(): void {
  timer = undefined;
  seen.value += waiting.length;
  lost.value += waiting.reduce((sum, call) => sum + call.lost, 0);
  calls.value = [...waiting, ...calls.value].sort((a, b) => b.time - a.time).slice(0, MOST);
  waiting = [];
}

function ended(mine: AbortController, problem: string): void {
  if (aborter !== mine) return;
  tapping.value = "ended";
  tapProblem.value = problem;
}

/** What has come stays. */
export function stop(): void {
  aborter?.abort();
  aborter = null;
  window.clearTimeout(timer);
  timer = undefined;
  waiting = [];
  tapping.value = "off";
}
