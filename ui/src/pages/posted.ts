/** What is asked by POST, as the question is more than an address, again and again. */
import { useEffect, useState } from "preact/hooks";
import { changes } from "../data";

/** Null until there is an answer; the last good one stays. key: what the question is made of. */
export function usePost<T>(question: () => Promise<T>, every: number, key = ""): T | null {
  const [answer, setAnswer] = useState<{ key: string; value: T } | null>(null);
  const change = changes.value;
  useEffect(() => {
    let over = false;
    let timer: number | undefined;
    const round = async () => {
      if (!document.hidden) {
        try {
          const value = await question();
          if (!over) setAnswer({ key, value });
        } catch {
          // the page's other questions say why
        }
      }
      if (!over && every) timer = window.setTimeout(round, every * 1000);
    };
    void round();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [key, change]);
  return answer?.key === key ? answer.value : null;
}
