/** Who looks at the page. What proves it is in a cookie that scripts can't read. For changes there is a key beside it, worth
 *  nothing without the cookie, which the browser keeps for this origin's pages. */
import { computed, signal } from "@preact/signals";
import { get, key, Refused, send, signedOut } from "./api";
import { replace } from "./url";

export interface Me {
  name: string;
  role: "viewer" | "admin";
  /** Whether this browser's requests may change something. */
  may_change: boolean;
}

const KEPT = "tulle-key";

export type Session = { state: "unknown" } | { state: "out"; why: string } | { state: "in"; me: Me };

export const session = signal<Session>({ state: "unknown" });
export const isAdmin = computed(() => session.value.state === "in" && session.value.me.may_change);

/** Finds out who looks. A ticket in the address is taken out of it before anything else happens. */
export async function begin(): Promise<void> {
  key.value = kept();
  signedOut.tell = () => {
    if (session.value.state === "in") session.value = { state: "out", why: "Your session has ended." };
  };
  const ticket = ticketOf(location.hash);
  if (ticket) {
    replace("#/");
    try {
      await prove({ ticket });
    } catch (error) {
      session.value = { state: "out", why: whyOf(error) };
      return;
    }
  }
  await look();
}

export function ticketOf(fragment: string): string {
  return /^#(?:\/?\?)?ticket=([^&]+)/.exec(fragment)?.[1] ?? "";
}

export async function signIn(token: string): Promise<void> {
  await prove({ token });
  await look();
}

async function prove(evidence: { ticket: string } | { token: string }): Promise<void> {
  key.value = (await send<{ key: string }>("POST", "v1/ui/sign-in", evidence)).key;
  try {
    localStorage.setItem(KEPT, key.value);
  } catch {
    return; // then it is gone when the page is
  }
}

function kept(): string {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

export async function signOut(): Promise<void> {
  try {
    await send("POST", "v1/ui/sign-out", {});
  } finally {
    session.value = { state: "out", why: "" };
  }
}

async function look(): Promise<void> {
  try {
    session.value = { state: "in", me: await get<Me>("v1/ui/me") };
  } catch (error) {
    const refused = error instanceof Refused && error.status === 401;
    session.value = { state: "out", why: refused ? "" : whyOf(error) };
  }
}

function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
