/** Light or dark: as the system says, until somebody chooses here. */
import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const KEY = "tulle-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme | null {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : null;
  } catch {
    return null; // a browser that keeps nothing
  }
}

const chosen = signal<Theme | null>(stored());
const systems = signal<Theme>(system.matches ? "dark" : "light");

export const theme = signal<Theme>(chosen.value ?? systems.value);

export function followTheme(): void {
  system.addEventListener("change", () => {
    systems.value = system.matches ? "dark" : "light";
  });
  effect(() => {
    theme.value = chosen.value ?? systems.value;
    document.documentElement.dataset.theme = theme.value;
  });
}

export function switchTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  try {
    if (chosen.value === systems.value) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen.value);
  } catch {
    return;
  }
}
