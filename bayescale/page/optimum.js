// The run of least loss for a budget, and the cheapest run that reaches a loss, for each draw of the parameters
// of a law. N, D and U are handled as logarithms: n, d and u. Draws are {values, count, width}: row i begins at
// i * width. A law is {loss, slopes}: the loss at (n, d, u, values, offset), and into an array of three the loss
// and its derivatives by n and by d.

const FIRST = Math.log(LEAST_N), LAST = Math.log(MOST_N); // parameters considered, those of the page
const POINTS = 1 + Math.ceil(8 * (LAST - FIRST) / Math.LN10); // 8 to a decade: two valleys of a loss are farther apart than that
const SCAN = 1 + Math.ceil(LAST - FIRST); // and for a target, where each point is an equation to be solved, an e-fold
const HALVINGS = 45; // a step of either grid is at most 1, so this leaves 3e-14 of ln N
const ROUGH = 1e-3, FINE = 1e-8; // steps of ln D; Newton's error after one is about its square
const LEAST_D = 0, MOST_D = Math.log(1e30); // tokens considered

function onGrid(k, points) {
  return FIRST + (LAST - FIRST) * Math.min(Math.max(k, 0), points - 1) / (points - 1);
}

// N, D and loss at the least loss for a budget of training compute; NaN where it is at an end of the grid.
function forBudget(law, draws, compute, u) {
  const found = {N: new Float64Array(draws.count), D: new Float64Array(draws.count), loss: new Float64Array(draws.count)};
  const rest = Math.log(compute / 6), at = new Float64Array(3);
  for (let i = 0, o = 0; i < draws.count; i++, o += draws.width) {
    let best = 0, least = Infinity;
    for (let k = 0; k < POINTS; k++) {
      const n = onGrid(k, POINTS), loss = law.loss(n, rest - n, u, draws.values, o);
      if (loss < least) { least = loss; best = k; }
    }
    // The loss is flat at its minimum; its slope tells all digits.
    const falls = n => { law.slopes(n, rest - n, u, draws.values, o, at); return at[1] < at[2]; };
    let left = onGrid(best - 1, POINTS), right = onGrid(best + 1, POINTS);
    const inside = (best > 0 || falls(left)) && (best < POINTS - 1 || !falls(right));
    for (let h = 0; h < HALVINGS; h++) {
      const middle = (left + right) / 2;
      if (falls(middle)) left = middle; else right = middle;
    }
    const n = inside ? (left + right) / 2 : NaN;
    found.N[i] = Math.exp(n);
    found.D[i] = compute / (6 * found.N[i]);
    found.loss[i] = law.loss(n, rest - n, u, draws.values, o);
  }
  return found;
}

// The ln D at which a run of n reaches a loss; Infinity where no number of tokens does. Newton's steps, kept between
// what is too few and what is enough, until one is below `small`; they start at `near`, where that is between them.
// `at` is left with the loss and the slopes there, or a step away from it.
function tokensFor(law, n, u, goal, values, o, at, near, small) {
  if (!(law.loss(n, MOST_D, u, values, o) <= goal)) return Infinity;
  let few = LEAST_D, enough = MOST_D, d = near > few && near < enough ? near : (few + enough) / 2;
  for (let h = 0; h < 100; h++) {
    law.slopes(n, d, u, values, o, at);
    if (at[0] > goal) few = d; else enough = d;
    const step = d - (at[0] - goal) / at[2];
    const next = step > few && step < enough ? step : (few + enough) / 2;
    const moved = Math.abs(next - d);
    d = next;
    if (moved < small) break;
  }
  return d;
}

// N, D, training compute and all compute of the cheapest run that reaches a loss, where `tokens` are answered
// afterwards at 2 N FLOP each; infinite where no run reaches it.
function forTarget(law, draws, goal, tokens, u) {
  const size = () => new Float64Array(draws.count);
  const found = {N: size(), D: size(), training: size(), total: size()};
  const at = new Float64Array(3);
  for (let i = 0, o = 0; i < draws.count; i++, o += draws.width) {
    let best = -1, least = Infinity, near = NaN, start = NaN;
    for (let k = SCAN - 1; k >= 0; k--) {
      const n = onGrid(k, SCAN), d = tokensFor(law, n, u, goal, draws.values, o, at, near, ROUGH);
      // Where one fewer of n is made up for by as many of d as the slopes say: the next point is near that.
      near = d + (at[1] / at[2]) * (LAST - FIRST) / (SCAN - 1);
      const total = Math.exp(n) * (6 * Math.exp(d) + 2 * tokens);
      if (total < least) { least = total; best = k; start = d; }
    }
    if (best < 0) { // no run reaches it
      found.N[i] = found.D[i] = found.training[i] = found.total[i] = Infinity;
      continue;
    }
    let left = onGrid(best - 1, SCAN), right = onGrid(best + 1, SCAN), d = start;
    const middle = onGrid(best, SCAN);
    // Whether all compute falls as n grows along the runs that reach the loss.
    const falls = n => {
      const there = tokensFor(law, n, u, goal, draws.values, o, at, d, FINE);
      if (there === Infinity) return n < middle;
      d = there;
      return 6 * Math.exp(d) * (1 - at[1] / at[2]) + 2 * tokens < 0;
    };
    const inside = (best > 0 || falls(left)) && (best < SCAN - 1 || !falls(right));
    for (let h = 0; h < HALVINGS; h++) {
      const n = (left + right) / 2;
      if (falls(n)) left = n; else right = n;
    }
    // Of both ends of what is left, the right one is where the loss is reached.
    const n = right;
    d = tokensFor(law, n, u, goal, draws.values, o, at, d, FINE);
    const N = inside ? Math.exp(n) : NaN, D = Math.exp(d);
    found.N[i] = N;
    found.D[i] = inside ? D : NaN;
    found.training[i] = 6 * N * found.D[i];
    found.total[i] = found.training[i] + 2 * N * tokens;
  }
  return found;
}

// The quantile of values that are not NaN, between which it is interpolated as NumPy does; infinite ones count.
function quantiles(values, levels) {
  const sorted = Float64Array.from(values).filter(v => !Number.isNaN(v)).sort();
  return levels.map(level => {
    if (!sorted.length) return NaN;
    const place = level * (sorted.length - 1), k = Math.floor(place), part = place - k;
    const low = sorted[k], high = sorted[Math.min(k + 1, sorted.length - 1)];
    return part === 0 || low === high ? low : low + (high - low) * part;
  });
}
