/** Tables: sorted by a click, the order being in the address as everything else. */
import type { ComponentChildren } from "preact";
import { asked, set } from "../url";
import { Icon } from "./icons";
import { rowsAsLinks } from "./row";

export interface Column<T> {
  key: string;
  label: string;
  cell: (row: T) => ComponentChildren;
  /** What it is sorted by; without it the column can't be. Null comes last. */
  by?: (row: T) => number | string | null | undefined;
  number?: boolean;
  /** Left out where there is little room. */
  wide?: boolean;
  title?: string;
}

export function sorted<T>(rows: T[], columns: Column<T>[], order: string): T[] {
  const down = order.startsWith("-");
  const column = columns.find((one) => one.key === order.replace(/^-/, ""));
  if (!column?.by) return rows;
  const by = column.by;
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)];
    if (x == null || y == null) return Number(x == null) - Number(y == null);
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  });
}

export function Table<T>(props: {
  name: string;
  rows: T[];
  columns: Column<T>[];
  keyOf: (row: T) => string;
  /** The order at first: a column's key, with a minus if it goes down. */
  order?: string;
  toneOf?: (row: T) => string;
  empty?: ComponentChildren;
}) {
  const param = `sort-${props.name}`;
  const order = asked(param) || props.order || "";
  if (!props.rows.length) return <>{props.empty ?? null}</>;
  return (
    <div class="table" role="region" tabIndex={0} aria-label={props.name}>
      <table data-table={props.name}>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <Heading key={column.key} column={column} order={order} param={param} />
            ))}
          </tr>
        </thead>
        <tbody {...rowsAsLinks}>
          {sorted(props.rows, props.columns, order).map((row) => (
            <tr key={props.keyOf(row)} data-row={props.keyOf(row)} class={props.toneOf?.(row)}>
              {props.columns.map((column) => (
                <td key={column.key} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function classOf<T>(column: Column<T>): string | undefined {
  return [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || undefined;
}

function Heading<T>({ column, order, param }: { column: Column<T>; order: string; param: string }) {
  const { key, label, by } = column;
  const direction = order === key ? "ascending" : order === `-${key}` ? "descending" : undefined;
  const next = direction === "descending" ? key : direction ? `-${key}` : column.number ? `-${key}` : key;
  return (
    <th scope="col" class={classOf(column)} aria-sort={direction} title={column.title}>
      {by ? (
        <button type="button" class="bare" onClick={() => set({ [param]: next }, true)}>
          {label}
          {direction && <Icon name={direction === "ascending" ? "up" : "down"} size={11} />}
        </button>
      ) : (
        label || <span class="unseen">actions</span>
      )}
    </th>
  );
}
