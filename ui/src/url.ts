/** Where the page is: all of its state is in the address, so that every view can be shared and reloaded.
 *
 *  It is in the fragment (`#/graph?focus=shop/cart`), which no server sees and which works behind any prefix.
 */
import { computed, signal } from "@preact/signals";

export interface Place {
  path: string[];
  query: URLSearchParams;
}

/** What goes along from page to page: the namespace, the time range and the moment that is looked at. */
const KEPT = ["ns", "t", "at"];

export function parse(fragment: string): Place {
  const [path = "", query = ""] = fragment.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { path: parts, query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function written(path: string[], query: URLSearchParams): string {
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",");
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export const place = signal<Place>(parse(location.hash));
export const page = computed(() => place.value.path[0] ?? "overview");
export const namespace = computed(() => place.value.query.get("ns") ?? "");

/** Starts to follow the address. */
export function follow(): void {
  addEventListener("hashchange", () => {
    place.value = parse(location.hash);
  });
}

/** The address of another page. What is kept goes along, unless it is given. */
export function to(path: string, query: Record<string, string | undefined> = {}): string {
  const all = new URLSearchParams();
  for (const key of KEPT) {
    const value = place.value.query.get(key);
    if (value && !(key in query)) all.set(key, value);
  }
  for (const [key, value] of Object.entries(query)) if (value) all.set(key, value);
  return written(path.split("/").filter(Boolean).map(decoded), all);
}

/** The path of a page about something with a namespace and a name. */
export function about(what: string, namespace: string, name: string): string {
  return [what, namespace || "-", name].map(encodeURIComponent).join("/");
}

export function go(path: string, query: Record<string, string | undefined> = {}): void {
  location.hash = to(path, query);
}

/** Changes the query of this page; undefined and "" take a parameter away. quiet: without a step in the history. */
export function set(changes: Record<string, string | undefined>, quiet = false): void {
  const query = new URLSearchParams(place.value.query);
  for (const [key, value] of Object.entries(changes)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const next = written(place.value.path, query);
  if (next === written(place.value.path, place.value.query)) return;
  if (quiet) replace(next);
  else location.hash = next;
}

/** Another address, without a step in the history. */
export function replace(fragment: string): void {
  history.replaceState(null, "", fragment);
  place.value = parse(fragment);
}

export function asked(key: string): string {
  return place.value.query.get(key) ?? "";
}
