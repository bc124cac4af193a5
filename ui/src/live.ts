/** The graph as it is told every two seconds, by one stream for the page. It rests while nobody looks. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address, get, type Query } from "./api";
import { paused } from "./data";
import { secured } from "./graph/health";
import { at, figuresQuery } from "./range";
import { namespace } from "./url";
import type { Graph } from "./types";

export type Liveness = "live" | "connecting" | "paused" | "past" | "lost";

export const graph = signal<Graph | null>(null);
export const graphError = signal("");
export const liveness = signal<Liveness>("connecting");

/** Keeps `graph` as the address asks for it, while the component that uses it is there. */
export function useGraph(more: Query = {}): void {
  const query = { ...figuresQuery.value, namespace: namespace.value, ...more };
  const key = JSON.stringify(query);
  const past = at.value;
  const rests = paused.value;

  useEffect(() => {
    if (past !== null) return onceInThePast(query);
    if (rests) {
      liveness.value = "paused";
      if (graph.value === null) void look(query);
      return undefined;
    }
    return streamed(query);
  }, [key, rests, past]);
  useEffect(() => () => forget(), []);
}

function forget(): void {
  graph.value = null;
  graphError.value = "";
}

async function look(query: Query): Promise<void> {
  try {
    graph.value = read(await get<Graph>("v1/graph", query));
    graphError.value = "";
  } catch (error) {
    graphError.value = (error as Error).message;
  }
}

function read(told: Graph): Graph {
  return { ...told, edges: told.edges.map((edge) => ({ ...edge, mtls: secured(edge.mtls, edge.success) })) };
}

function onceInThePast(query: Query): undefined {
  liveness.value = "past";
  void look(query);
}

function streamed(query: Query): () => void {
  let source: EventSource | null = null;
  let failures = 0;
  let retry: number | undefined;

  const open = () => {
    window.clearTimeout(retry);
    if (source || document.hidden) return;
    liveness.value = "connecting";
    source = new EventSource(address("v1/stream", query));
    source.addEventListener("graph", (event: MessageEvent<string>) => {
      failures = 0;
      graph.value = read(JSON.parse(event.data) as Graph);
      graphError.value = "";
      liveness.value = "live";
    });
    source.onerror = () => {
      close();
      liveness.value = "lost";
      failures += 1;
      if (failures === 1) void look(query); // says why, if it is known
      retry = window.setTimeout(open, Math.min(15_000, 500 * 2 ** failures));
    };
  };
  const close = () => {
    window.clearTimeout(retry);
    source?.close();
    source = null;
  };
  const looked = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", looked);
  open();
  return () => {
    document.removeEventListener("visibilitychange", looked);
    close();
  };
}
