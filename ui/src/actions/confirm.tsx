/** One question before something is done: what will change, and by which command a terminal would do it. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { diff, hunks } from "../diff";
import type { Edit } from "../documents";
import { Command } from "../parts/command";
import { close, Dialog } from "../parts/dialog";
import { yaml } from "../yaml";
import { analysed, applied, whyOf } from "./apply";
import type { Finding } from "../types";

export function Confirm(props: {
  title: string;
  command: string;
  verb: string;
  danger?: boolean;
  disabled?: boolean;
  run: () => Promise<void>;
  children?: ComponentChildren;
  wide?: boolean;
}) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = async () => {
    setBusy(true);
    setProblem("");
    try {
      await props.run();
      close();
    } catch (error) {
      setProblem(whyOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={props.title} wide={props.wide}>
      {props.children}
      {problem && <pre class="failure" role="alert">{problem}</pre>}
      <div class="same"><span>In a terminal</span><Command text={props.command} /></div>
      <footer>
        <button type="button" onClick={close}>Cancel</button>
        <button type="button" class={props.danger ? "danger" : "primary"} disabled={busy || props.disabled} data-confirm onClick={() => void run()}>{busy ? "Working…" : props.verb}</button>
      </footer>
    </Dialog>
  );
}

/** What edits would do, tried by the control plane. */
export function Preview({ edits }: { edits: Edit[] }) {
  const [told, setTold] = useState<{ problem: string; findings: Finding[] } | null>(null);
  const key = JSON.stringify(edits);
  useEffect(() => {
    let over = false;
    const timer = setTimeout(async () => {
      let problem = "";
      let findings: Finding[] = [];
      try {
        await applied(edits, true);
        findings = await analysed(edits.map((edit) => edit.document));
      } catch (error) {
        problem = whyOf(error);
      }
      if (!over) setTold({ problem, findings: findings.filter((one) => one.level !== "info") });
    }, 250);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [key]);
  return (
    <div class="preview">
      {edits.map((edit) => {
        const { kind, metadata } = edit.document;
        return (
          <section key={kind + metadata.name}>
            <h3>{kind} {metadata.namespace}/{metadata.name} {edit.before ? "" : "(new)"}</h3>
            <Difference before={edit.before ? yaml(edit.before) : ""} after={yaml(edit.document)} />
          </section>
        );
      })}
      <p class="tried" role="status">
        {told === null ? "Trying it…" : told.problem ? <span class="text bad">{told.problem}</span> : told.findings.length ? <span class="text warn">{told.findings.map((one) => one.message).join("\n")}</span> : <span class="text ok">The control plane takes it, and finds nothing amiss.</span>}
      </p>
    </div>
  );
}

export function Difference({ before, after }: { before: string; after: string }) {
  const shown = before ? hunks(diff(before, after)) : diff(before, after);
  if (!shown.length) return <p class="quiet">No difference.</p>;
  return (
    <pre class="diff" tabIndex={0}>
      {shown.map((one, index) => (one === null ? <span key={index} class="gap">⋯{"\n"}</span> : <span key={index} class={one.sign === "+" ? "plus" : one.sign === "-" ? "minus" : ""}>{`${one.sign} ${one.text}\n`}</span>))}
    </pre>
  );
}

/** The command that applies documents as they are, to be pasted whole. */
export function applyCommand(edits: Edit[]): string {
  return `tulle apply -f - <<'EOF'\n${edits.map((edit) => yaml(edit.document)).join("---\n")}EOF`;
}
