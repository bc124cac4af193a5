/** Icons as lines of one weight, drawn here so that none needs a font. */
const PATHS = {
  overview: "M3 12.5a6 6 0 1 1 12 0M9 12.5l3-4",
  graph: "M6 9h3M12 5.5 9 9l3 3.5M2.5 7h3.5v4H2.5zM12 3.5h3.5v4H12zM12 10.5h3.5v4H12z",
  services: "M3 4h12v4H3zM3 10.5h12v4H3zM5.5 6h.01M5.5 12.5h.01",
  traces: "M3 4.5h7M6 9h7M10 13.5h5",
  tap: "M2.5 9h3l2-5 3 10 2-5h3",
  config: "M6.5 4 2.5 9l4 5M11.5 4l4 5-4 5",
  policy: "M9 2.5l5.5 2.2v4c0 3.5-2.4 5.6-5.5 6.8-3.1-1.2-5.5-3.3-5.5-6.8v-4zM6.8 8.8l1.6 1.6 3-3.2",
  proxies: "M3 3h5v5H3zM10 3h5v5h-5zM3 10h5v5H3zM10 10h5v5h-5z",
  copy: "M6.5 6.5h8v8h-8zM4 11.5H3.5v-8h8V4",
  check: "M3.5 9.5 7 13l7.5-8",
  close: "M4.5 4.5l9 9M13.5 4.5l-9 9",
  search: "M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10zM11.8 11.8 15 15",
  sun: "M9 12a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM9 1.5V3M9 15v1.5M1.5 9H3M15 9h1.5M3.7 3.7l1 1M13.3 13.3l1 1M14.3 3.7l-1 1M4.7 13.3l-1 1",
  moon: "M14.5 10.7A6 6 0 0 1 7.3 3.5a6 6 0 1 0 7.2 7.2z",
  pause: "M6 4v10M12 4v10",
  play: "M5.5 3.5l8.5 5.5-8.5 5.5z",
  plus: "M9 4v10M4 9h10",
  minus: "M4 9h10",
  fit: "M3 6.5V3h3.5M11.5 3H15v3.5M15 11.5V15h-3.5M6.5 15H3v-3.5",
  list: "M3 5h12M3 9h12M3 13h12",
  menu: "M3 5h12M3 9h12M3 13h12",
  right: "M7 4.5 11.5 9 7 13.5",
  down: "M4.5 7 9 11.5 13.5 7",
  up: "M4.5 11 9 6.5 13.5 11",
  external: "M10.5 3.5h4v4M14.5 3.5 8 10M12 10v4.5H3.5V6H8",
  clock: "M9 15.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM9 5.5V9l2.5 1.5",
  out: "M7 3.5H3.5v11H7M11.5 5.5 15 9l-3.5 3.5M15 9H7",
  help: "M6.5 6.7a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.6v.2M9 13.5h.01",
  restart: "M14.5 9a5.5 5.5 0 1 1-1.6-3.9M14.5 2.5v3.3h-3.3",
  shift: "M2.5 9h5M7.5 9c3 0 3-4.5 7-4.500M7.5 9c3 0 3 4.5 7 4.500M12.5 2.500l2 2-2 2M12.5 11.500l2 2-2 2",
  fault: "M10 2.5 4 10h4.500L8 15.5 14 8H9.500z",
  edit: "M3.5 14.500l.7-3.2 7.5-7.5 2.5 2.5-7.5 7.500zM10.2 5.300l2.5 2.5",
  more: "M4.5 9h.01M9 9h.01M13.5 9h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 18 18" width={size} height={size} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** share: of calls under mutual TLS, 0 to 1; null: nothing is known, as nothing was called. */
export function Lock({ share }: { share: number | null | undefined }) {
  if (share == null) return <span class="muted" title="no calls">–</span>;
  const label = share >= 1 ? "mutual TLS" : share <= 0 ? "plain text" : `${Math.floor(share * 100)}% mutual TLS`;
  return (
    <span class={`lock ${share >= 1 ? "closed" : "open"}`} title={label}>
      <svg viewBox="0 0 12 14" width="11" height="13" role="img" aria-label={label}>
        <rect x="1.5" y="6" width="9" height="7" rx="1.5" />
        <path d={share >= 1 ? "M3.5 6V4a2.5 2.5 0 0 1 5 0v2" : "M3.5 6V3.600a2.5 2.5 0 0 1 4.9-.7"} />
      </svg>
      {share > 0 && share < 1 && <small>{Math.floor(share * 100)}%</small>}
    </span>
  );
}

/** Three threads, woven: the mark of tulle. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      <path d="M12 2.5 20.5 7.200v9.600L12 21.5 3.5 16.800V7.200z" />
      <path d="M3.5 7.2 12 12l8.5-4.800M12 12v9.500M7.7 4.900l8.6 4.700v9.600M16.3 4.9 7.7 9.600v9.6" />
    </svg>
  );
}
