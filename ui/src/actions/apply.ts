/** Applying documents: tried first, then done, and undone by putting back what was there. */
import { Refused, sendText } from "../api";
import { changes } from "../data";
import { linesOf, type Document, type Edit } from "../documents";
import { say } from "../parts/dialog";
import { send } from "../api";
import type { Applied, Finding, Outcome } from "../types";

const FILE = "dashboard";

export function summary(outcomes: Outcome[]): string {
  return outcomes.map((one) => `${one.kind} ${one.namespace ? `${one.namespace}/` : ""}${one.name} ${one.action}`).join(", ");
}

/** Raises Refused, with what is wrong. */
export async function applied(edits: Edit[], dryRun: boolean): Promise<Applied> {
  const query = edits.map((edit) => `revision=${edit.revision}`).join("&");
  const text = linesOf(edits.map((edit) => edit.document), FILE);
  return sendText<Applied>(`v1/resources?${query}${dryRun ? "&dry_run=1" : ""}`, text, "application/x-ndjson");
}

export async function analysed(documents: Document[]): Promise<Finding[]> {
  return sendText<Finding[]>("v1/analysis", linesOf(documents, FILE), "application/x-ndjson");
}

/** Applies, tells what came of it, and offers to undo it. */
export async function apply(edits: Edit[]): Promise<void> {
  const done = await applied(edits, false);
  changes.value += 1;
  say(summary(done.outcomes), "ok", { label: "Undo", run: () => void undo(edits) });
}

/** What was there comes back, what was not is deleted. Somebody else's later change is not seen by this: it is told. */
async function undo(edits: Edit[]): Promise<void> {
  try {
    const before = edits.map((edit) => edit.before).filter((one): one is Document => one !== null);
    const gone = edits.filter((edit) => edit.before === null).map(({ document }) => ({ kind: document.kind, namespace: document.metadata.namespace ?? "", name: document.metadata.name }));
    if (before.length) await sendText("v1/resources", linesOf(before, FILE), "application/x-ndjson");
    if (gone.length) await send("POST", "v1/resources/delete", gone);
    say("Undone: it is as it was before.");
  } catch (error) {
    say(`Not undone: ${whyOf(error)}`, "bad");
  }
  changes.value += 1;
}

export function whyOf(error: unknown): string {
  if (!(error instanceof Refused)) return String(error);
  const problems = error.problems.filter((one) => one.severity !== "warning");
  return problems.length ? problems.map((one) => `${one.path ? `${one.path}: ` : ""}${one.message}`).join("\n") : error.message;
}
