/** START HERE: signs in, then shows the page that the address names. */
import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/graph.css";
import "./style/pages.css";
import "./style/small.css";
import { followKeys } from "./keys";
import { begin } from "./session";
import { Shell } from "./shell";
import { followTheme } from "./theme";
import { follow } from "./url";

followTheme();
follow();
followKeys();
void begin();
render(<Shell />, document.getElementById("app")!);
