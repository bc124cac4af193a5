/** From figures to colours: one scale for the whole page. Pure. */
import { isDown, isShort } from "../instances";
import type { Tone } from "../parts/basics";
import type { GraphEdge, GraphNode } from "../types";

const WARN_BELOW = 0.99;
const BAD_BELOW = 0.95;

export function toneOf(success: number | null | undefined, rate = 1): Tone {
  if (success == null || rate <= 0) return "idle";
  if (success < BAD_BELOW) return "bad";
  return success < WARN_BELOW ? "warn" : "ok";
}

export function toneOfNode(node: GraphNode): Tone {
  if (isDown(node.instances)) return "bad";
  const tone = toneOf(node.success, node.rate);
  return isShort(node.instances) && tone !== "bad" ? "warn" : tone;
}

export function toneOfEdge(edge: GraphEdge): Tone {
  if (edge.protocol === "tcp") return edge.sent_rate + edge.received_rate > 0 ? "ok" : "idle";
  return toneOf(edge.success, edge.rate);
}

/** The share of mutual TLS among the calls that got as far as a server: those that failed before prove nothing. */
export function secured(mtls: number | null, success: number | null): number | null {
  if (mtls === null || mtls === 0 || mtls >= 1) return mtls;
  return 1 - mtls <= 1 - (success ?? 1) + 1e-9 ? 1 : mtls;
}

export const edgeId = (edge: { from: string; to: string; protocol: string }): string =>
  `${edge.from}>${edge.to}${edge.protocol === "tcp" ? ">tcp" : ""}`;
