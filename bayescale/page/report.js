// The sliders of the page: reads what is asked, asks optimum.js for every case, and says what it found. Everything
// that comes from the data is put in as text.

const told = JSON.parse(document.getElementById('explored').textContent);
const find = id => document.getElementById(id);
const LEVELS = [0.05, 0.5, 0.95];
const NS = 'http://www.w3.org/2000/svg';

// ---- Numbers as people write them

function label(value, digits = 3) {
  if (Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  value = Number(value.toPrecision(digits));
  for (const [scale, suffix] of [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'k']]) {
    if (scale <= Math.abs(value) && Math.abs(value) < 1e15) return Number((value / scale).toPrecision(digits)) + suffix;
  }
  const plain = value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e15);
  return plain ? String(value) : value.toExponential(digits - 1).replace(/\.?0*e\+?/, 'e');
}

// Commas, spaces and underscores stand between thousands and nowhere else: 1,95 is no number.
function parse(text) {
  const said = /^\s*((?:\d{1,3}(?:[_, ]\d{3})+|\d*)\.?\d*(?:e[+-]?\d+)?)\s*([kmbt]?)\s*$/i.exec(text.slice(0, 40));
  if (!said || !/^[^e]*\d/i.test(said[1])) return NaN;
  return Number(said[1].replace(/[_, ]/g, '')) * {'': 1, k: 1e3, m: 1e6, b: 1e9, t: 1e12}[said[2].toLowerCase()];
}

const asLoss = value => Number.isFinite(value) ? value.toFixed(4) : label(value);

// ---- What is asked

const controls = new Map(told.controls.map(control => [control.name, control]));
const asked = Object.fromEntries(told.controls.map(control => [control.name, control.start]));
let shown = 0; // the case of the figure

const onSlider = (name, value) => name === 'loss' ? value : value > 0 ? Math.log10(value) : controls.get(name).low;
const written = (name, value) => name === 'loss' ? String(Number(value.toPrecision(6))) : value > 0 ? label(value, 6) : 'none';

function fromSlider(name, place) {
  const control = controls.get(name);
  if (name === 'loss') return Number(place.toPrecision(5));
  if (name === 'T' && place <= control.low) return 0;
  return Number((10 ** place).toPrecision(3)); // the numbers that a slider gives are round
}

const allowed = (name, value) => Number.isFinite(value) && (value > 0 || (name === 'T' && value === 0)) && value < 1e40;

function set(name, value) {
  asked[name] = value;
  const range = find(`${name}-range`), text = find(`${name}-text`);
  range.value = onSlider(name, value);
  range.setAttribute('aria-valuetext', written(name, value));
  if (document.activeElement !== text) text.value = written(name, value);
}

function readHash() {
  const pairs = new URLSearchParams(location.hash.slice(1));
  for (const name of controls.keys()) {
    const value = parse(pairs.get(name) || '');
    if (allowed(name, value)) set(name, value);
  }
  const index = Number(pairs.get('case'));
  if (pairs.has('case') && Number.isInteger(index) && index >= 0 && index < told.cases.length) shown = index;
  if (find('case')) find('case').value = String(shown);
}

function writeHash() {
  // Without the + of 4e+23, which an address reads as a space.
  const pairs = [...controls.keys()].map(name => `${name}=${String(asked[name]).replace('+', '')}`);
  if (told.cases.length > 1) pairs.push(`case=${shown}`);
  try {
    history.replaceState(null, '', `#${pairs.join('&')}`);
  } catch { /* a page inside another one may have no address of its own */ }
}

// ---- What is answered

for (const one of told.cases) {
  const bits = Uint8Array.from(atob(one.draws), letter => letter.charCodeAt(0));
  one.rows = {values: new Float64Array(bits.buffer), count: one.count, width: one.width};
}

// What an answer follows from is kept with it: a slider changes one of two answers.
function kept(one, what, causes, find) {
  const key = causes.join();
  if (one[what]?.key !== key) one[what] = {key, found: find()};
  return one[what].found;
}

function answer(one) {
  const u = controls.has('U') ? Math.log(asked.U) : Infinity, law = LAWS[one.law];
  const budget = kept(one, 'budget', [asked.C, u], () => forBudget(law, one.rows, asked.C, u));
  const target = kept(one, 'target', [asked.loss, asked.T, u], () => forTarget(law, one.rows, asked.loss, asked.T, u));
  const over = (a, b) => a.map((value, i) => value / (b ? b[i] : asked.U));
  return {
    'budget-N': budget.N, 'budget-D': budget.D, 'budget-ratio': over(budget.D, budget.N), 'budget-loss': budget.loss,
    'budget-epochs': one.repeats ? over(budget.D) : null,
    'target-N': target.N, 'target-D': target.D, 'target-ratio': over(target.D, target.N),
    'target-epochs': one.repeats ? over(target.D) : null,
    'target-training': target.training, 'target-total': target.total,
  };
}

function say(one, found) {
  const texts = {};
  for (const [name, values] of Object.entries(found)) {
    if (!values) { texts[name] = {low: '', median: '', high: ''}; continue; }
    const [low, median, high] = quantiles(values, LEVELS), as = name === 'budget-loss' ? asLoss : label;
    texts[name] = one.count > 1 ? {low: as(low), median: as(median), high: as(high)} : {low: '', median: as(median), high: ''};
    texts[name].numbers = [low, median, high];
  }
  return texts;
}

const between = text => text.low ? `${text.low} to ${text.high}` : '';
const share = (values, is) => values.reduce((sum, value) => sum + is(value), 0) / values.length;
const percent = part => part > 0.995 && part < 1 ? '> 99%' : part < 0.005 && part > 0 ? '< 1%' : `${Math.round(100 * part)}%`;

function warnings(one, found) {
  const said = [], decades = one.most === null ? 0 : Math.log10(asked.C / one.most);
  if (decades > 0) said.push(`${decades.toFixed(1)} decades of compute beyond the largest run: an extrapolation.`);
  const nowhere = share(found['budget-N'], Number.isNaN);
  if (nowhere > 0) said.push(`In ${percent(nowhere)} of the draws no size between ${label(LEAST_N)} and ${label(MOST_N)} parameters is best.`);
  return said.join(' ');
}

function fill(index, found) {
  const one = told.cases[index], texts = one.texts = say(one, found);
  const reached = share(found['target-N'], Number.isFinite);
  if (index === shown) {
    for (const [name, text] of Object.entries(texts)) {
      if (!find(name)) continue;
      find(name).textContent = text.median;
      find(`${name}-interval`).textContent = between(text);
      find(name).dataset.values = JSON.stringify(text.numbers || []);
    }
    find('reached').textContent = percent(reached);
    find('budget-warning').textContent = warnings(one, found);
    find('budget-epochs-row').hidden = find('target-epochs-row').hidden = !one.repeats;
    find('target-total-row').hidden = asked.T === 0;
    draw(one, texts);
  }
  const row = find(`row-${index}`);
  if (!row) return;
  ['budget-N', 'budget-D', 'budget-ratio', 'budget-loss', 'target-total'].forEach((name, i) => {
    const cell = row.cells[i + 1];
    cell.textContent = texts[name].median;
    if (!texts[name].low) return;
    cell.append(Object.assign(document.createElement('span'), {className: 'interval', textContent: between(texts[name])}));
  });
}

// What is answered of every case, as a file of comma-separated values, numbers in full.
function offer() {
  const plain = value => typeof value === 'string' && /^[=+\-@\t\r]./s.test(value) ? `'${value}` : String(value);
  const quote = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const quoted = value => quote(plain(value));
  const rows = [['fit', 'asked', 'quantity', 'low', 'median', 'high']];
  for (const one of told.cases) {
    for (const [name, text] of Object.entries(one.texts)) {
      if (text.numbers) rows.push([one.title, settings(), name.replace('-', ', '), ...text.numbers]);
    }
  }
  const text = rows.map(row => row.map(quoted).join(',')).join('\n');
  find('explored-csv').href = `data:text/csv;charset=utf-8,${encodeURIComponent(`${text}\n`)}`;
}

// ---- The figure: the loss of every size at the budget

function element(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw(one, texts) {
  const figure = find('curve'), law = LAWS[one.law], u = controls.has('U') ? Math.log(asked.U) : Infinity;
  const width = Math.max(figure.clientWidth, 300), height = Math.round(Math.min(330, 150 + width / 4));
  const left = 62, right = 14, top = 14, bottom = 48;
  const [low, median, high] = texts['budget-N'].numbers;
  figure.replaceChildren();
  figure.setAttribute('viewBox', `0 0 ${width} ${height}`);
  figure.setAttribute('height', height);
  if (!Number.isFinite(median)) return;
  const ends = [Math.max(low, LEAST_N) || median, Math.min(high, MOST_N) || median].map(Math.log10);
  const from = Math.max(Math.min(ends[0] - 0.7, Math.log10(median) - 1.5), Math.log10(LEAST_N));
  const to = Math.min(Math.max(ends[1] + 0.7, Math.log10(median) + 1.5), Math.log10(MOST_N));
  const steps = 90, curve = [];
  for (let k = 0; k <= steps; k++) {
    const n = (from + (to - from) * k / steps) * Math.LN10, losses = new Float64Array(one.count);
    for (let i = 0; i < one.count; i++) losses[i] = law.loss(n, Math.log(asked.C / 6) - n, u, one.rows.values, i * one.width);
    curve.push([n / Math.LN10, ...quantiles(losses, LEVELS)]);
  }
  const least = Math.min(...curve.map(point => point[1]));
  const middle = Math.min(...curve.map(point => point[2]));
  const most = Math.min(Math.max(...curve.map(point => point[3])), middle + 4 * (Math.max(curve[0][2], curve[steps][2]) - middle) + 0.05);
  const x = value => left + (value - from) / (to - from) * (width - left - right);
  const y = value => top + (most - Math.min(Math.max(value, least), most)) / (most - least) * (height - top - bottom);
  const path = points => points.map(([a, b], i) => `${i ? 'L' : 'M'}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join('');
  const mark = (name, attributes, text) => figure.append(element(name, attributes, text));
  for (let decade = Math.ceil(from); decade <= to; decade++) {
    mark('line', {class: 'grid', x1: x(decade), x2: x(decade), y1: top, y2: height - bottom});
    mark('text', {class: 'tick', x: x(decade), y: height - bottom + 18, 'text-anchor': 'middle'}, label(10 ** decade));
  }
  for (const value of ticks(least, most)) {
    mark('line', {class: 'grid', x1: left, x2: width - right, y1: y(value), y2: y(value)});
    mark('text', {class: 'tick', x: left - 8, y: y(value) + 4, 'text-anchor': 'end'}, String(Number(value.toPrecision(5))));
  }
  const upper = curve.map(point => [point[0], point[3]]), lower = curve.map(point => [point[0], point[1]]);
  if (one.count > 1) {
    mark('path', {class: 'band', d: `${path(upper)}${path(lower.reverse()).replace('M', 'L')}Z`});
    mark('rect', {class: 'best', x: x(Math.log10(low)), width: Math.max(x(Math.log10(high)) - x(Math.log10(low)), 1), y: height - bottom - 8, height: 8});
  }
  mark('path', {class: 'line', d: path(curve.map(point => [point[0], point[2]]))});
  mark('line', {class: 'choice', x1: x(Math.log10(median)), x2: x(Math.log10(median)), y1: top, y2: height - bottom});
  mark('text', {class: 'axis', x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle'}, 'parameters N');
  mark('text', {class: 'axis', x: 14, y: (top + height - bottom) / 2, 'text-anchor': 'middle', transform: `rotate(-90 14 ${(top + height - bottom) / 2})`}, 'loss');
  figure.setAttribute('aria-label', `Loss against parameters at ${label(asked.C)} FLOP; least at ${texts['budget-N'].median} parameters, 90% interval ${between(texts['budget-N'])}.`);
}

function ticks(low, high) {
  const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(part => part * unit).find(size => size >= rough), found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}

// ---- When

let waiting = 0, resting = 0;

// The case that is looked at at once, and the others one after the other, so that the sliders do not stick; the address
// when they rest, since browsers allow few changes of it.
function update() {
  const turn = ++waiting, page = document.documentElement.dataset;
  page.asked = turn;
  clearTimeout(resting);
  find('settings').textContent = settings();
  const others = told.cases.map((_, index) => index).filter(index => index !== shown);
  const next = index => {
    if (turn !== waiting) return;
    fill(index, answer(told.cases[index]));
    if (others.length) setTimeout(next, 0, others.shift());
    else resting = setTimeout(() => { writeHash(); offer(); page.answered = turn; }, 150);
  };
  requestAnimationFrame(() => next(shown));
}

function settings() {
  const parts = [`budget ${label(asked.C)} FLOP`, `target loss ${written('loss', asked.loss)}`];
  parts.push(`inference ${asked.T ? `${label(asked.T)} tokens` : 'left out'}`);
  if (controls.has('U')) parts.push(`${label(asked.U)} unique tokens`);
  return parts.join(', ');
}

for (const [name, control] of controls) {
  const range = find(`${name}-range`), text = find(`${name}-text`);
  range.min = control.low;
  range.max = control.high;
  range.step = name === 'loss' ? 0.001 : 0.01;
  range.addEventListener('input', () => { set(name, fromSlider(name, Number(range.value))); update(); });
  const typed = () => {
    const value = name === 'T' && /^\s*(none)?\s*$/i.test(text.value) ? 0 : parse(text.value), fine = allowed(name, value);
    text.setAttribute('aria-invalid', String(!fine));
    if (fine) { set(name, value); update(); }
  };
  text.addEventListener('change', typed);
  text.addEventListener('blur', () => { text.value = written(name, asked[name]); text.setAttribute('aria-invalid', 'false'); });
  set(name, control.start);
}
if (find('case')) find('case').addEventListener('change', event => { shown = Number(event.target.value); update(); });
addEventListener('resize', update);
addEventListener('hashchange', () => { readHash(); update(); });
readHash();
document.documentElement.classList.add('live');
update();
