/** Lines of the audit log; docs/reference/state.md says what is in them. For admins, as the log is. */
import { useEffect, useState } from "preact/hooks";
import { lines } from "./api";
import { changes } from "./data";
import { isAdmin } from "./session";

export interface AuditLine {
  time: number;
  event: string;
  who?: string;
  what?: string;
  reason?: string;
  before?: unknown;
  after?: unknown;
}

const MOST = 500;
export const DAYS = 7;

/** Those that fit, the newest first; null until they are read. key: what `fits` is made of. */
export function useAudit(fits: (line: AuditLine) => boolean, key: string): AuditLine[] | null {
  const [found, setFound] = useState<AuditLine[] | null>(null);
  const change = changes.value;
  useEffect(() => {
    if (!isAdmin.value) {
      setFound([]);
      return;
    }
    const aborter = new AbortController();
    const all: AuditLine[] = [];
    const since = Math.floor(Date.now() / 1000) - DAYS * 86_400;
    const take = (line: AuditLine) => {
      if (fits(line)) all.push(line);
      if (all.length > MOST) all.shift();
    };
    lines("v1/audit", { since }, take, aborter.signal)
      .then(() => setFound(all.reverse()))
      .catch(() => aborter.signal.aborted || setFound([]));
    return () => aborter.abort();
  }, [key, change]);
  return found;
}

/** Whether a text names one of these, as a whole word. */
export function naming(names: string[]): (text: string) => boolean {
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(^|[\\s/,])(${escaped.join("|")})($|[\\s./,:])`);
  return (text) => pattern.test(text);
}
