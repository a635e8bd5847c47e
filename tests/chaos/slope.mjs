// A line through samples, by least squares; and how sure one can be of its slope. Pure.

// [[x, y], ...] -> {slope, low, high}: with 95 % confidence it is between them (normal, for many samples).
// What a process holds goes on from what it held: each sample tells less than one of its own would (by
// their autocorrelation), and the limits are as much wider.
export function fit(points) {
  const n = points.length;
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const mx = mean(points.map(([x]) => x));
  const my = mean(points.map(([, y]) => y));
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx;
  const rests = points.map(([x, y]) => y - my - slope * (x - mx));
  const squares = rests.reduce((sum, e) => sum + e * e, 0);
  const follows = rests.slice(1).reduce((sum, e, i) => sum + e * rests[i], 0);
  const rho = squares > 0 ? Math.min(0.99, Math.max(0, follows / squares)) : 0;
  const error = Math.sqrt(squares / (n - 2) / sxx * ((1 + rho) / (1 - rho)));
  return { slope, low: slope - 1.96 * error, high: slope + 1.96 * error };
}
