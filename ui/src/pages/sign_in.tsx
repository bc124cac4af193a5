/** Signing in: by the link that `tulle ui` prints, or by a token of `tulle user`. */
import { useState } from "preact/hooks";
import { Command } from "../parts/command";
import { Mark } from "../parts/icons";
import { signIn } from "../session";

export function SignIn({ why }: { why: string }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await signIn(token.trim());
    } catch (error) {
      setProblem((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <main class="sign-in" data-page="sign-in">
      <div class="brand"><Mark /><b>tulle</b></div>
      <h1>Sign in to the mesh</h1>
      {(problem || why) && <p class="failure" role="alert">{problem || why}</p>}
      <section>
        <h2>On this machine</h2>
        <p>Ask for a link that signs this browser in. It works once, for a minute.</p>
        <Command text="tulle ui" />
      </section>
      <form onSubmit={submit}>
        <h2>With a token</h2>
        <p>An admin makes one with <code>tulle user create NAME --role viewer</code>.</p>
        <label>
          <span class="unseen">Token</span>
          <input type="password" name="token" autocomplete="off" spellcheck={false} placeholder="API token" aria-label="API token" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
        </label>
        <button type="submit" class="primary" disabled={busy || !token.trim()}>{busy ? "Signing in…" : "Sign in"}</button>
      </form>
    </main>
  );
}
