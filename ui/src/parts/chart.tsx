/** Charts over time. Where nothing was measured there is a gap, never a line across it. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { clock } from "../format";
import { theme } from "../theme";

export interface Line {
  label: string;
  color: string; // the name of a colour in style/tokens.css
  values: (number | null)[];
  fill?: boolean;
}

const SYNC = uPlot.sync("tulle");

export function Chart(props: {
  title: string;
  times: number[];
  lines: Line[];
  write: (value: number | null) => string;
  height?: number;
  /** Seconds, so that the axis is whole also where nothing was measured. */
  from?: number;
  to?: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const look = theme.value;
  const shape = props.lines.map((line) => line.label + line.color).join();

  useEffect(() => {
    const element = box.current!;
    const made = new uPlot(options(latest, element, setAt), data(latest.current), element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width && Math.abs(width - made.width) > 1) made.setSize({ width, height: made.height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, look, props.height]);
  useEffect(() => plot.current?.setData(data(props)), [props.times, props.lines]);

  const last = lastOf(props);
  const index = at ?? last;
  return (
    <figure class="chart" aria-label={props.title}>
      <figcaption>
        <b>{props.title}</b>
        <span class="space" />
        {at !== null && <time>{clock(props.times[at]!)}</time>}
        <span class="keys">
          {props.lines.map((line) => (
            <span key={line.label} class="key">
              <i style={{ background: `var(--${line.color})` }} />
              {line.label} <b>{props.write(index === null ? null : (line.values[index] ?? null))}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} class="plot" />
    </figure>
  );
}

/** Nothing but gaps and zeros: there is no scale to be told. */
const isEmpty = ({ lines }: { lines: Line[] }): boolean => !lines.some((line) => line.values.some(Boolean));

function lastOf({ lines, times }: { lines: Line[]; times: number[] }): number | null {
  for (let index = times.length - 1; index >= 0; index--) {
    if (lines.some((line) => line.values[index] != null)) return index;
  }
  return null;
}

function data({ times, lines }: { times: number[]; lines: Line[] }): uPlot.AlignedData {
  return [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
}

/** Points between gaps: no line leads to them, so that nobody would see them. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series]!;
  return [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
}

function options(
  latest: { current: { lines: Line[]; write: (value: number | null) => string; height?: number; from?: number; to?: number } },
  element: HTMLElement,
  setAt: (index: number | null) => void,
): uPlot.Options {
  const css = getComputedStyle(document.documentElement);
  const color = (name: string) => css.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: color("muted"),
    grid: { stroke: color("line-soft"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: element.clientWidth || 300,
    height: latest.current.height ?? 150,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC.key }, y: false, points: { size: 5 }, drag: { x: false, y: false } },
    scales: {
      x: {
        range: (_, low, high) => [latest.current.from ?? low ?? 0, latest.current.to ?? high ?? 1],
      },
      y: { range: (_, _low, high) => [0, (high ?? 0) * 1.15 || 1] },
    },
    axes: [
      { ...axis, space: 70, size: 26, values: (_, ticks) => ticks.map((tick) => (ticks[1]! - ticks[0]! < 60 ? clock(tick) : clock(tick).slice(0, 5))) },
      { ...axis, space: 34, size: 54, values: (_, ticks) => (isEmpty(latest.current) ? [] : ticks.map((tick) => latest.current.write(tick))) },
    ],
    series: [
      {},
      ...latest.current.lines.map((line) => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.5,
        fill: line.fill ? `color-mix(in srgb, ${color(line.color)} 14%, transparent)` : undefined,
        spanGaps: false,
        points: { show: true, size: 4, filter: alone },
      })),
    ],
    hooks: { setCursor: [(plot) => setAt(plot.cursor.left! >= 0 ? (plot.cursor.idx ?? null) : null)] },
  };
}

/** A line of the height of text. */
export function Spark({ values, tone = "accent" }: { values: (number | null)[]; tone?: string }) {
  const most = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const width = 100;
  const height = 24;
  let path = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const x = values.length > 1 ? (index / (values.length - 1)) * width : 0;
    const y = height - 2 - (value / most) * (height - 4);
    path += `${open ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    open = true;
  });
  return (
    <svg class={`spark ${tone}`} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
