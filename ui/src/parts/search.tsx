/** The field that `/` leads to; what is in it is in the address. */
import { asked, set } from "../url";
import { Icon } from "./icons";

export function Search({ placeholder, param = "q" }: { placeholder: string; param?: string }) {
  return (
    <label class="search">
      <Icon name="search" size={14} />
      <input data-search type="search" placeholder={placeholder} aria-label={placeholder} value={asked(param)} onInput={(event) => set({ [param]: event.currentTarget.value }, true)} />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}
