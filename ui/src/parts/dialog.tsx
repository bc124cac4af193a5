/** Dialogs, which the browser keeps the focus in, and notes at the page's edge. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons";

const shown = signal<(() => ComponentChildren) | null>(null);

/** Shows a dialog in place of whatever is shown. */
export function open(content: () => ComponentChildren): void {
  shown.value = content;
}

export function close(): void {
  shown.value = null;
}

export function Dialogs() {
  return shown.value ? shown.value() : null;
}

export function Dialog({ title, children, wide }: { title: string; children: ComponentChildren; wide?: boolean }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    element.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : undefined}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === element.current && close()}
    >
      <header>
        <h2>{title}</h2>
        <button type="button" class="bare" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface Note {
  id: number;
  text: string;
  tone: "ok" | "bad";
  action?: { label: string; run: () => void };
}

const notes = signal<Note[]>([]);
let last = 0;

/** Says what came of something. With something to do about it, it stays longer. */
export function say(text: string, tone: Note["tone"] = "ok", action?: Note["action"]): void {
  const id = ++last;
  notes.value = [...notes.value, { id, text, tone, action }];
  setTimeout(() => drop(id), action || tone === "bad" ? 20_000 : 5_000);
}

function drop(id: number): void {
  notes.value = notes.value.filter((one) => one.id !== id);
}

export function Notes() {
  return (
    <div class="notes" role="status" aria-live="polite">
      {notes.value.map((one) => (
        <div key={one.id} class={`toast ${one.tone}`}>
          <span>{one.text}</span>
          {one.action && (
            <button
              type="button"
              onClick={() => {
                drop(one.id);
                one.action!.run();
              }}
            >
              {one.action.label}
            </button>
          )}
          <button type="button" class="bare" aria-label="Dismiss" onClick={() => drop(one.id)}>
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
