/** The command that shows or does the same in a terminal, to be copied. */
import { useState } from "preact/hooks";
import { Icon } from "./icons";

export function Command({ text, label }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  const first = text.split("\n", 1)[0]!;
  return (
    <span class="command">
      <code title={text}>
        <span aria-hidden="true">$ </span>
        {first}
        {first === text ? "" : " …"}
      </code>
      <button type="button" class="bare" onClick={copy} aria-label={label ?? `Copy the command ${first}`} title="Copy">
        <Icon name={copied ? "check" : "copy"} size={14} />
      </button>
      <span class="unseen" role="status">
        {copied ? "Copied" : ""}
      </span>
    </span>
  );
}

/** Also where the browser gives pages without TLS no clipboard. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

/** A word as a shell takes it for one. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** ` -n shop`, if there is a namespace. */
export function inNamespace(namespace: string): string {
  return namespace ? ` -n ${namespace}` : "";
}
