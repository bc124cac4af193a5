/** What is different between two texts, line by line. Pure. */

export interface Change {
  sign: " " | "+" | "-";
  text: string;
}

/** The shortest way from one to the other, by their longest common subsequence. Texts here have some hundred lines. */
export function diff(before: string, after: string): Change[] {
  const [a, b] = [linesOf(before), linesOf(after)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const same = (lines: string[]): Change[] => lines.map((text) => ({ sign: " ", text }));
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return [...same(a.slice(0, head)), ...middle, ...same(tail ? a.slice(-tail) : [])];
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function between(a: string[], b: string[]): Change[] {
  const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i]![j] = a[i] === b[j] ? longest[i + 1]![j + 1]! + 1 : Math.max(longest[i + 1]![j]!, longest[i]![j + 1]!);
    }
  }
  const changes: Change[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      changes.push({ sign: " ", text: a[i++]! });
      j++;
    } else if (j >= b.length || (i < a.length && longest[i + 1]![j]! >= longest[i]![j + 1]!)) changes.push({ sign: "-", text: a[i++]! });
    else changes.push({ sign: "+", text: b[j++]! });
  }
  return changes;
}

/** Changes with a few lines around them; null stands for what is left out. */
export function hunks(changes: Change[], around = 3): (Change | null)[] {
  const near = changes.map((_, index) => changes.slice(Math.max(0, index - around), index + around + 1).some((one) => one.sign !== " "));
  const shown: (Change | null)[] = [];
  changes.forEach((one, index) => {
    if (near[index]) shown.push(one);
    else if (shown.at(-1) !== null) shown.push(null);
  });
  return shown.some((one) => one) ? shown : [];
}
