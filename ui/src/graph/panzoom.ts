/** Moving about in a drawing: the wheel zooms where the pointer is, drags move, two fingers pinch. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";

export interface View {
  x: number;
  y: number;
  k: number;
}

const [LEAST, MOST] = [0.12, 3];

/** Pixels at the right that the zoom's buttons take. */
const CONTROLS = 44;

/** Below these a fit would be too small to be read: for a whole drawing, and for one of which a point is looked at. */
const [READABLE, READABLE_NEAR] = [0.4, 0.8];

/** The view in which a drawing just fits; or, where that would be too small, a part of it, around `near` if that is given. */
export function fitted(width: number, height: number, box: { width: number; height: number }, near: { x: number; y: number } | null = null): View {
  const whole = Math.min(1.15, box.width / Math.max(1, width), box.height / Math.max(1, height));
  const k = Math.max(whole, near ? READABLE_NEAR : READABLE);
  const placed = (size: number, room: number, at: number) => {
    if (size * k <= room) return (room - size * k) / 2;
    return Math.min(0, Math.max(room - size * k, room / 2 - at * k));
  };
  return { k, x: placed(width, box.width, near?.x ?? width / 2), y: placed(height, box.height, near?.y ?? height / 2) };
}

/** The point under (px, py) stays where it is. */
export function zoomed({ x, y, k }: View, factor: number, px: number, py: number): View {
  const next = Math.min(MOST, Math.max(LEAST, k * factor));
  return { k: next, x: px - ((px - x) * next) / k, y: py - ((py - y) * next) / k };
}

export function usePanZoom(element: RefObject<SVGSVGElement | null>, size: { width: number; height: number }, key: string, near: { x: number; y: number } | null) {
  const [view, setView] = useState<View | null>(null);
  const [box, setBox] = useState({ width: 0, height: 0 });
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const moved = useRef(false);

  useEffect(() => {
    const svg = element.current;
    if (!svg) return;
    const observer = new ResizeObserver(() => setBox({ width: svg.clientWidth, height: svg.clientHeight }));
    observer.observe(svg);
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const at = svg.getBoundingClientRect();
      const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016) * (event.ctrlKey ? 4 : 1));
      setView((before) => zoomed(before ?? current.current, factor, event.clientX - at.left, event.clientY - at.top));
    };
    svg.addEventListener("wheel", wheel, { passive: false });
    return () => {
      observer.disconnect();
      svg.removeEventListener("wheel", wheel);
    };
  }, [element.current]);
  useEffect(() => setView(null), [key, box.width, box.height]);

  const fit = box.width ? fitted(size.width, size.height, { ...box, width: box.width - CONTROLS }, near) : { x: 0, y: 0, k: 1 };
  const current = useRef<View>(fit);
  current.current = view ?? fit;

  const down = (event: PointerEvent) => {
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved.current = false;
  };
  const move = (event: PointerEvent) => {
    const before = pointers.current.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    if (!moved.current && Math.hypot(dx, dy) < 4) return;
    if (!moved.current) element.current?.setPointerCapture(event.pointerId);
    moved.current = true;
    const others = [...pointers.current].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const now = current.current;
    const other = others[0];
    if (!other) setView({ ...now, x: now.x + dx, y: now.y + dy });
    else {
      const at = element.current!.getBoundingClientRect();
      const factor = Math.hypot(event.clientX - other.x, event.clientY - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      setView(zoomed(now, factor, (event.clientX + other.x) / 2 - at.left, (event.clientY + other.y) / 2 - at.top));
    }
  };
  const up = (event: PointerEvent) => pointers.current.delete(event.pointerId);

  return {
    view: current.current,
    box,
    /** Whether the last press was a drag, and so no click. */
    dragged: () => moved.current,
    zoom: (factor: number) => setView(zoomed(current.current, factor, box.width / 2, box.height / 2)),
    fit: () => setView(null),
    handlers: { onPointerDown: down, onPointerMove: move, onPointerUp: up, onPointerCancel: up },
  };
}
