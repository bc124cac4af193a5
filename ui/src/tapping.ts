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

/** Whether a call is shown by this line alone: one that has two ends in the mesh, as its server saw it. */
export function isOwnLine(call: Pick<Tapped, "side" | "mtls">): boolean {
  return call.side === "destination" || !call.mtls;
}

/** once: not at both ends. headers: for admins. */
export function start(query: Query, { once = false, headers = false } = {}): void {
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
    if (once && !isOwnLine(line)) {
      lost.value += line.lost;
      return;
    }
    waiting.push({ ...line, key: number++ });
    timer ??= window.setTimeout(show, 150); // drawn a few times a second, however many come
  };
  lines<Tapped>(headers ? "v1/tap/headers" : "v1/tap", query, take, mine.signal)
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
