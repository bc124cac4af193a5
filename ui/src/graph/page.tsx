/** The page of the graph: what is shown of it, how to find something in it, and the moment that it shows. */
import { signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { paused } from "../data";
import { plural } from "../format";
import { graph, graphError, useGraph } from "../live";
import { Empty, Skeleton } from "../parts/basics";
import { Command, inNamespace } from "../parts/command";
import { Icon, Lock } from "../parts/icons";
import { asked, namespace, set } from "../url";
import { windowOption } from "../range";
import { Detail } from "./detail";
import { Drawing } from "./drawing";
import { find } from "./find";
import { around, folded, Memory, MOST_NODES, type Shape } from "./shape";
import { Listing } from "./listing";
import { Replay } from "./replay";
import type { Graph } from "../types";

const memory = signal(new Memory());
let memoryOf = "";

function remembered(current: Graph, key: string): Shape {
  if (key !== memoryOf) {
    memory.value = new Memory();
    memoryOf = key;
  }
  return memory.value.remembered(current);
}

export function GraphPage() {
  const focus = asked("focus");
  const hops = Math.min(3, Number(asked("hops")) || 0);
  useGraph();
  const current = graph.value;
  const key = `${namespace.value} ${asked("at")} ${asked("t")}`;
  const whole = useMemo(() => (current ? remembered(current, key) : null), [current, key]);
  const folds = asked("fold");
  const part = useMemo(() => (whole ? partOf(whole, focus, hops, folds) : null), [whole, focus, hops, folds]);
  const words = asked("find");
  const found = useMemo(() => (part ? find(words, part.shape) : null), [part, words]);
  const list = asked("view") === "list";

  const chosen = {
    selected: asked("sel"),
    onSelect: (id: string) => set({ sel: id === asked("sel") ? undefined : id }, true),
    onFocus: (id: string) => set({ focus: id, sel: id }),
    onFold: (name: string) => set({ fold: toggled(folds, name), sel: undefined }),
  };
  return (
    <div class="graph-page">
      <Bar shape={part?.shape ?? null} whole={whole} focus={part?.focus ?? ""} hops={part?.hops ?? 1} list={list} found={found ? found.nodes.size : null} />
      <div class={`graph-body ${chosen.selected ? "with-detail" : ""}`}>
        <div class="canvas">
          {part === null ? (
            graphError.value ? <Empty title="There is no graph">{graphError.value}</Empty> : <Skeleton rows={8} />
          ) : part.shape.nodes.length === 0 ? (
            <Nothing />
          ) : list ? (
            <Listing shape={part.shape} found={found} chosen={chosen} />
          ) : (
            <Drawing shape={part.shape} found={found} chosen={chosen} fitKey={`${focus} ${hops} ${folds} ${namespace.value}`} />
          )}
          {!list && <Legend />}
        </div>
        {chosen.selected && part && <Detail shape={part.shape} id={chosen.selected} />}
      </div>
      <Replay />
    </div>
  );
}

function toggled(list: string, name: string): string {
  const all = new Set(list.split(",").filter(Boolean));
  if (!all.delete(name)) all.add(name);
  return [...all].join(",");
}

interface Part {
  shape: Shape;
  focus: string;
  hops: number;
}

/** Two calls away are shown as long as it is no more. */
const MANY_NEAR = 30;

function near(shape: Shape, focus: string, hops: number): Part {
  if (hops) return { shape: around(shape, focus, hops), focus, hops };
  const wide = around(shape, focus, 2);
  return wide.nodes.length <= MANY_NEAR ? { shape: wide, focus, hops: 2 } : { shape: around(shape, focus, 1), focus, hops: 1 };
}

/** Beyond 60 services one is chosen, the busiest, unless the address names one. hops: 0: as many as there is room for. */
function partOf(whole: Shape, focus: string, hops: number, folds: string): Part {
  const shape = folded(whole, new Set(folds.split(",").filter(Boolean)));
  const wanted = focus === "*" ? "" : focus;
  const there = shape.nodes.some((node) => node.id === wanted);
  if (there) return near(shape, wanted, hops);
  if (focus !== "*" && shape.nodes.length > MOST_NODES) {
    const busiest = [...shape.nodes].sort((a, b) => b.rate - a.rate)[0]!.id;
    return near(shape, busiest, hops);
  }
  return { shape, focus: "", hops: 1 };
}

function Bar(props: { shape: Shape | null; whole: Shape | null; focus: string; hops: number; list: boolean; found: number | null }) {
  const { shape, whole, focus, hops, list } = props;
  const names = whole?.nodes.map((node) => node.id) ?? [];
  return (
    <div class="bar">
      <label class="search">
        <Icon name="search" size={14} />
        <input data-search type="search" value={asked("find")} placeholder="Find: cart, err>1%, p95>200, plain" aria-label="Find in the graph" onInput={(event) => set({ find: event.currentTarget.value }, true)} />
      </label>
      {props.found !== null && <span class="note">{plural(props.found, "fits", "fit")}</span>}
      <label class="pick">
        <span>Focus</span>
        <select value={focus} aria-label="Focus on" onChange={(event) => set({ focus: event.currentTarget.value || (names.length > MOST_NODES ? "*" : undefined), sel: undefined })}>
          <option value="">everything</option>
          {names.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </label>
      {focus && (
        <div class="choice" role="group" aria-label="How far">
          {[1, 2, 3].map((number) => (
            <button key={number} type="button" aria-pressed={hops === number} title={plural(number, "call") + " away"} onClick={() => set({ hops: String(number) })}>±{number}</button>
          ))}
        </div>
      )}
      {asked("fold") && <button type="button" onClick={() => set({ fold: undefined })}>Unfold all</button>}
      <span class="space" />
      {shape && whole && <span class="note">{plural(shape.nodes.length, "node")}{shape.nodes.length < whole.nodes.length ? ` of ${whole.nodes.length}` : ""}, {plural(shape.edges.length, "edge")}</span>}
      <div class="choice" role="group" aria-label="View">
        <button type="button" aria-pressed={!list} onClick={() => set({ view: undefined })}><Icon name="graph" size={14} /> Drawing</button>
        <button type="button" aria-pressed={list} onClick={() => set({ view: "list" })}><Icon name="list" size={14} /> List</button>
      </div>
      <button type="button" onClick={() => (paused.value = !paused.value)} aria-pressed={paused.value}>
        <Icon name={paused.value ? "play" : "pause"} size={14} /> {paused.value ? "Resume" : "Pause"}
      </button>
      <Command text={`tulle edges${inNamespace(namespace.value)}${windowOption.value}`} />
    </div>
  );
}

function Nothing() {
  return asked("at") ? (
    <Empty title="Nothing was known at that moment">Figures are kept for a day, and end with the control plane that took them.</Empty>
  ) : (
    <Empty title="No service yet" command="tulle run web --port 8000 -- python -m http.server 8000">
      Services and the calls among them show up here as soon as programs run in the mesh.
    </Empty>
  );
}

function Legend() {
  return (
    <div class="legend" aria-hidden="true">
      <span><i class="dot ok" /> under 1% errors</span>
      <span><i class="dot warn" /> 1–5%</span>
      <span><i class="dot bad" /> 5% and more</span>
      <span><i class="dot idle" /> idle</span>
      <span><Lock share={1} /> mutual TLS</span>
      <span><Lock share={0} /> plain text</span>
    </div>
  );
}
