/** Requests to the control plane. All are relative to the page, so that it works behind any prefix. */

const ROOT = "../";

/** An answer that says no. problems: of documents that were sent. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly problems: import("./types").Problem[] = [],
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const all = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value != null && value !== "" && value !== false) all.set(key, value === true ? "1" : String(value));
  }
  const text = all.toString();
  return `${ROOT}${path}${text ? `?${text}` : ""}`;
}

/** Goes with every request; see session.ts. */
export const key = { value: "" };

/** Called when the session is over or was never there. */
export const signedOut: { tell: () => void } = { tell: () => undefined };

export async function ask(where: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  const headers = key.value ? { ...init.headers, "x-tulle-key": key.value } : init.headers;
  try {
    answer = await fetch(where, { ...init, headers, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refused(0, "The control plane does not answer. Is `tulle up` running?");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) signedOut.tell();
  throw await refusal(answer);
}

async function refusal(answer: Response): Promise<Refused> {
  try {
    const body = await answer.json();
    return new Refused(answer.status, String(body.error ?? answer.statusText), body.problems);
  } catch {
    return new Refused(answer.status, `${answer.status} ${answer.statusText}`);
  }
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await ask(address(path, query), { signal })).json();
}

export async function send<T>(method: string, path: string, body?: unknown, query: Query = {}): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  return (await ask(address(path, query), init)).json();
}

/** Sends text as it is, such as documents. */
export async function sendText<T>(path: string, text: string, type: string, query: Query = {}): Promise<T> {
  const init = { method: "POST", body: text, headers: { "content-type": type } };
  return (await ask(address(path, query), init)).json();
}

/** Lines of JSON as they come, until the answer ends or the signal says so. */
export async function lines<T>(path: string, query: Query, tell: (line: T) => void, signal: AbortSignal): Promise<void> {
  const answer = await ask(address(path, query), { signal });
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.trim()) tell(JSON.parse(part));
  }
}
