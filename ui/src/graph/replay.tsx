/** The moment that is shown: now, or one of the past that the control plane remembers. */
import { useEffect, useState } from "preact/hooks";
import { clock, date, span } from "../format";
import { Icon } from "../parts/icons";
import { at } from "../range";
import { set } from "../url";

const REACHES: [string, number, number][] = [["15m", 900, 5], ["24h", 86_400, 60]];

export function Replay() {
  const [reach, setReach] = useState(0);
  const [running, setRunning] = useState(false);
  const [, seconds, step] = REACHES[reach]!;
  const now = Math.floor(Date.now() / 1000 / step) * step;
  const shown = at.value;
  const back = shown === null ? 0 : Math.min(seconds, now - shown);
  const show = (ago: number) => set({ at: ago <= 0 ? undefined : String(now - ago) }, true);

  useEffect(() => {
    if (shown !== null && now - shown > 900) setReach(1);
  }, []);
  useEffect(() => {
    if (!running) return;
    if (shown === null) return setRunning(false);
    const timer = setTimeout(() => show(Date.now() / 1000 - shown - step), 1000);
    return () => clearTimeout(timer);
  }, [running, shown]);

  return (
    <div class="replay">
      <Icon name="clock" size={14} />
      <div class="choice" role="group" aria-label="How far back">
        {REACHES.map(([label], index) => (
          <button key={label} type="button" aria-pressed={reach === index} onClick={() => setReach(index)}>{label}</button>
        ))}
      </div>
      <input
        type="range"
        min={-seconds}
        max={0}
        step={step}
        value={-back}
        aria-label="Moment that is shown"
        aria-valuetext={shown === null ? "now" : date(shown)}
        onInput={(event) => show(-Number(event.currentTarget.value))}
      />
      <button type="button" disabled={shown === null} onClick={() => setRunning(!running)} aria-label={running ? "Stop the replay" : "Replay from here"}>
        <Icon name={running ? "pause" : "play"} size={14} />
      </button>
      <span class="when">{shown === null ? "now" : `${clock(shown)}, ${span(now - shown)} ago`}</span>
      {shown !== null && <button type="button" onClick={() => set({ at: undefined })}>Back to now</button>}
    </div>
  );
}
