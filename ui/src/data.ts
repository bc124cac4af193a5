/** What a page shows, asked again and again while somebody looks at it. */
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, Refused, type Query } from "./api";

export interface Loaded<T> {
  data: T | null;
  error: Refused | null;
  loading: boolean;
  again: () => void;
}

/** Pages that ask repeatedly stand still while this is set. */
export const paused = signal(false);

/** Told after a change was made, so that everything on the page asks again at once. */
export const changes = signal(0);

/** path: null asks nothing. every: seconds until the next time; 0: once. */
export function useGet<T>(path: string | null, query: Query = {}, every = 5): Loaded<T> {
  const key = path === null ? null : JSON.stringify([path, query]);
  const [state, setState] = useState<{ key: string | null; data: T | null; error: Refused | null }>({
    key: null,
    data: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  const change = changes.value;
  const stopped = paused.value;
  const latest = useRef(query);
  latest.current = query;

  useEffect(() => {
    if (path === null || key === null) return;
    const aborter = new AbortController();
    let timer: number | undefined;
    const next = () => {
      if (every && !stopped) timer = window.setTimeout(round_, every * 1000);
    };
    const round_ = async () => {
      if (document.hidden) {
        next();
        return;
      }
      try {
        const data = await get<T>(path, latest.current, aborter.signal);
        if (!aborter.signal.aborted) setState({ key, data, error: null });
      } catch (error) {
        if (aborter.signal.aborted) return;
        const refused = error instanceof Refused ? error : new Refused(0, String(error));
        setState((before) => ({ key, data: before.key === key ? before.data : null, error: refused }));
      }
      if (!aborter.signal.aborted) next();
    };
    void round_();
    const shown = () => {
      if (!document.hidden && every && !stopped) {
        window.clearTimeout(timer);
        void round_();
      }
    };
    document.addEventListener("visibilitychange", shown);
    return () => {
      aborter.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [key, every, round, change, stopped]);

  const current = state.key === key;
  return {
    data: current ? state.data : null,
    error: current ? state.error : null,
    loading: key !== null && !current,
    again: () => setRound(round + 1),
  };
}
