/** What modules ask the browser for when they are read. */
Object.assign(globalThis, {
  location: { hash: "" },
  matchMedia: () => ({ matches: false, addEventListener: () => undefined }),
});
