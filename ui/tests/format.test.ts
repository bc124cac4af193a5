import { describe, expect, it } from "vitest";
import { bytes, duration, percent, rate, secondsOf, span } from "../src/format";

describe("numbers as the page writes them", () => {
  it("keeps three digits of a rate", () => {
    expect([0, 0.004, 0.42, 7.31, 99.96, 1234, 3_400_000, null].map(rate)).toEqual(["0", "<0.01", "0.42", "7.3", "100", "1.2k", "3.4M", "–"]);
  });
  it("never rounds a failure away", () => {
    expect([1, 0.999999, 0.9994, 0.063, 0.00001, 0, null].map(percent)).toEqual(["100%", ">99.99%", "99.94%", "6.3%", "<0.01%", "0%", "–"]);
  });
  it("takes the unit that fits a duration", () => {
    expect([0, 0.02, 4.25, 415, 1240, 61_000, null].map(duration)).toEqual(["0 ms", "20 µs", "4.3 ms", "415 ms", "1.24 s", "1m", "–"]);
    expect([3, 90, 7200, 5 * 86_400].map(span)).toEqual(["3s", "1m", "2h", "5d"]);
    expect([12, 48_213, 9e6].map(bytes)).toEqual(["12 B", "48.2 kB", "9 MB"]);
  });
  it("reads windows, and nothing else", () => {
    expect(["90s", "15m", "6h", "2d", "", "m", "-5m", "1w", "1m; x"].map(secondsOf)).toEqual([90, 900, 21_600, 172_800, null, null, null, null, null]);
  });
});
