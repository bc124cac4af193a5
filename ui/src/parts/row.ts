/** A row of a table is as good as the first link in it: for a click anywhere in it, and for a middle one, which opens a tab.
 *
 *  What else can be clicked in the row stays as it is, and so does text that is being selected. The keyboard has the link.
 */
const OWN = "a, button, input, select, label, summary";
const STILL = 4; // pixels; what moves farther while the button is down selects text

let down = { x: 0, y: 0 };

function linkOf(event: MouseEvent): HTMLElement | null {
  const target = event.target as Element;
  return target.closest(OWN) ? null : (target.closest("tr")?.querySelector<HTMLElement>("a[href], button") ?? null);
}

function open(event: MouseEvent): void {
  const link = linkOf(event);
  const isSelecting = Math.hypot(event.clientX - down.x, event.clientY - down.y) > STILL;
  if (!link || isSelecting || event.button > 1) return;
  const elsewhere = event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  if (elsewhere && link instanceof HTMLAnchorElement) window.open(link.href, "_blank", "noopener");
  else if (!elsewhere) link.click();
}

/** For a `tbody`. */
export const rowsAsLinks = {
  onClick: open,
  onAuxClick: open,
  onMouseDown: (event: MouseEvent): void => {
    down = { x: event.clientX, y: event.clientY };
    if (event.button === 1 && linkOf(event)) event.preventDefault(); // else some browsers begin to scroll
  },
};
