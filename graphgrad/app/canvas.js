// The graph: shows the SVG of the server, fills in the numbers that the current step has reached, pans and zooms.
// Steps play here; the server hears which node is chosen, and where stepping comes to rest.

const LARGEST_SCALE = 1.25;
const TALLEST = 460, LOWEST = 200;
const STEP_MS = 750, REST_MS = 300;
const NOT_COMPUTED = '·';

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector('.gg');
  const view = root.gg || (root.gg = new Canvas(root));
  view.choose = id => setStateValue('selected', id);
  view.show(data);
  return () => view.leave();
}

class Canvas {
  constructor(root) {
    this.root = root;
    this.part = name => root.querySelector('.' + name);
    this.host = this.part('host');
    this.zoomed = false;
    this.handlers();
  }

  // -- what is shown

  show(data) {
    this.enter();
    const sameSteps = this.data && same(this.data.forward, data.forward) && same(this.data.backward, data.backward);
    const atEnd = !this.data || !sameSteps || this.step === this.steps.length;
    if (!this.data || this.data.svg !== data.svg) this.draw(data);
    this.data = data;
    this.steps = [...data.forward.map(id => ['f', id]), ...data.backward.map(id => ['b', id])];
    if (atEnd) this.step = this.steps.length;
    this.selected = data.selected;
    const slide = this.part('slide');
    slide.max = this.steps.length;
    this.part('of').textContent = `gradient ∂${data.of}/∂node`;
    this.part('legend').querySelector('.b').hidden = !data.backward.length;
    for (const [id, words] of Object.entries(data.words)) this.nodes[id]?.setAttribute('aria-label', words);
    this.paint();
  }

  draw(data) {
    this.host.innerHTML = data.svg;
    this.svg = this.host.querySelector('svg');
    this.svg.removeAttribute('role');
    this.svg.querySelector(':scope > title')?.remove();
    this.svg.removeAttribute('width');
    this.svg.removeAttribute('height');
    const box = this.svg.viewBox.baseVal;
    this.whole = [box.x, box.y, box.width, box.height];
    this.svg.querySelector('polygon')?.remove();  // the paper: the page's own ground is seen instead
    this.nodes = {};
    this.cells = {};
    for (const node of this.svg.querySelectorAll('g.node')) {
      this.nodes[node.id] = node;
      node.tabIndex = 0;
      node.setAttribute('role', 'button');
      const around = node.getBBox(), halo = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      halo.setAttribute('class', 'halo');
      const place = { x: around.x - 3, y: around.y - 3, width: around.width + 6, height: around.height + 6, rx: 6 };
      for (const [name, value] of Object.entries(place)) halo.setAttribute(name, value);
      node.insertBefore(halo, node.firstChild);
    }
    for (const cell of this.svg.querySelectorAll('g.cell')) {
      const text = cell.querySelector('text');
      const size = Number(text?.getAttribute('font-size'));
      this.cells[cell.id] = { text, size, ink: text?.style.fill, ground: cell.querySelector('polygon') };
    }
    this.edges = [...this.svg.querySelectorAll('g.edge')];
    this.zoomed = false;
    this.fit();
  }

  paint() {
    const reached = { f: new Set(this.data.given), b: new Set() };
    this.steps.slice(0, this.step).forEach(([way, id]) => reached[way].add(id));
    for (const [id, value] of Object.entries(this.data.cells)) {
      const [node, place] = id.split('-');
      this.fill(this.cells[id], reached[place[0]].has(node) ? value : [NOT_COMPUTED, false, null, 1]);
    }
    const last = this.step === this.steps.length;
    const [way, now] = this.step && !last ? this.steps[this.step - 1] : ['', ''];
    for (const [id, node] of Object.entries(this.nodes)) {
      node.classList.toggle('selected', id === this.selected);
      node.classList.toggle('now-f', way === 'f' && id === now);
      node.classList.toggle('now-b', way === 'b' && id === now);
      node.setAttribute('aria-pressed', String(id === this.selected));
    }
    const both = new Set(this.edges.filter(e => e.classList.contains('backward')).map(e => e.id.slice(2)));
    const lit = new Set(this.data.lit.map(pair => pair.join('-')));
    for (const edge of this.edges) {
      const { source, target } = edge.dataset, back = edge.classList.contains('backward');
      const single = !both.has(edge.id.slice(2));
      const there = back ? reached.b.has(source) && reached.b.has(target) : reached.f.has(target);
      edge.classList.toggle('off', !there);
      edge.classList.toggle('flow-f', way === 'f' && !back && target === now);
      edge.classList.toggle('flow-b', way === 'b' && (back || single) && source === now && reached.b.has(target));
      edge.classList.toggle('lit', last && (back || single) && lit.has(`${source}-${target}`));
    }
    this.say(way, now, last);
  }

  fill(cell, [text, alarm, heat, scale]) {
    if (!cell?.text) return;
    cell.text.textContent = text || '\u00a0';
    cell.text.style.fontSize = `${cell.size * scale}px`;
    cell.text.style.fill = alarm ? 'var(--gg-alarm-ink)' : cell.ink;
    cell.text.style.fontWeight = alarm ? 'bold' : '';
    if (!cell.ground) return;
    const share = `calc(100% * var(--gg-strongest) * ${Math.min(1, Math.abs(heat || 0))})`;
    cell.ground.style.fill = alarm ? 'var(--gg-alarm)' : heat === null ? 'var(--gg-panel)'
      : `color-mix(in srgb, var(--gg-${heat > 0 ? 'high' : 'low'}) ${share}, var(--gg-middle))`;
  }

  say(way, now, last) {
    const said = this.part('said'), word = document.createElement('b');
    said.className = `said ${way}`;
    word.textContent = last ? 'All computed' : this.step ? (way === 'f' ? 'Forward' : 'Backward') : 'Given';
    const rest = last ? '' : this.step ? `: ${this.data.said[way + now] || ''}` : ': inputs and parameters';
    said.replaceChildren(`${this.step}/${this.steps.length} `, word, rest);
    said.title = said.textContent;
    this.part('slide').value = this.step;
    for (const name of ['first', 'back']) this.part(name).disabled = this.step === 0;
    for (const name of ['next', 'last']) this.part(name).disabled = last;
  }

  // -- stepping

  go(step) {
    this.step = Math.max(0, Math.min(this.steps.length, step));
    this.paint();
  }

  move(step) {
    this.pause();
    this.go(step);
    this.rest();
  }

  play() {
    if (this.timer) { this.pause(); this.rest(); return; }
    if (this.step === this.steps.length) this.go(0);
    this.root.classList.add('playing');
    this.part('play').setAttribute('aria-label', 'Pause');
    this.timer = setInterval(() => {
      this.go(this.step + 1);
      if (this.step === this.steps.length) this.pause();
    }, STEP_MS);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.root.classList.remove('playing');
    this.part('play').setAttribute('aria-label', 'Play');
  }

  rest() {  // the inspector follows once stepping has come to rest
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      const at = this.step && this.step < this.steps.length ? this.steps[this.step - 1][1] : null;
      if (at && at !== this.selected) this.pick(at);
    }, REST_MS);
  }

  pick(id) {
    this.selected = id;
    this.paint();
    this.choose(id);
  }

  // -- the window on the graph

  fit() {
    const width = this.host.clientWidth || 800, [x, y, w, h] = this.whole;
    const scale = Math.min(width / w, TALLEST / h, LARGEST_SCALE);
    const height = Math.max(LOWEST, Math.min(TALLEST, h * scale));
    this.svg.style.height = `${height}px`;
    const across = width / scale, down = height / scale;
    this.box = [x - (across - w) / 2, y - (down - h) / 2, across, down];
    this.apply();
  }

  apply() {
    this.svg.setAttribute('viewBox', this.box.join(' '));
  }

  zoom(factor, px = 0.5, py = 0.5) {
    const [x, y, w, h] = this.box;
    const k = Math.max(factor, 40 / w);
    this.box = [x + w * px * (1 - k), y + h * py * (1 - k), w * k, h * k];
    this.zoomed = true;
    this.apply();
  }

  // -- what the reader does

  handlers() {
    for (const [name, act] of Object.entries({
      first: () => this.move(0), back: () => this.move(this.step - 1), next: () => this.move(this.step + 1),
      last: () => this.move(this.steps.length), play: () => this.play(),
      in: () => this.zoom(1 / 1.3), out: () => this.zoom(1.3), fit: () => { this.zoomed = false; this.fit(); },
    })) this.part(name).onclick = act;
    this.part('slide').oninput = event => this.move(Number(event.target.value));
    let drag = null, moved = false;
    this.host.onclick = event => {
      const node = event.target.closest('g.node');
      if (node && !moved) this.pick(node.id);
    };
    this.host.ondblclick = () => { this.zoomed = false; this.fit(); };
    this.host.onpointerdown = event => { drag = [event.clientX, event.clientY, ...this.box]; moved = false; };
    this.host.onpointermove = event => {
      if (!drag) return;
      const dx = event.clientX - drag[0], dy = event.clientY - drag[1];
      if (!moved && Math.abs(dx) + Math.abs(dy) < 5) return;
      moved = this.zoomed = true;
      const scale = this.box[2] / this.svg.clientWidth;
      this.box[0] = drag[2] - dx * scale;
      this.box[1] = drag[3] - dy * scale;
      this.apply();
    };
    this.host.onpointerup = this.host.onpointerleave = () => { drag = null; };
    this.host.addEventListener('wheel', event => {
      if (!(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const around = this.svg.getBoundingClientRect();
      this.zoom(event.deltaY > 0 ? 1.12 : 1 / 1.12,
        (event.clientX - around.left) / around.width, (event.clientY - around.top) / around.height);
    }, { passive: false });
    this.root.addEventListener('keydown', event => this.key(event));
    this.outside = event => {
      if (event.target === document.body && ['ArrowLeft', 'ArrowRight'].includes(event.key)) this.key(event);
    };
    this.resize = new ResizeObserver(() => { if (this.svg && !this.zoomed) this.fit(); });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.classList?.contains('slide')) return;
    const node = event.target.closest?.('g.node');
    const act = {
      ArrowRight: () => this.move(this.step + 1), ArrowLeft: () => this.move(this.step - 1),
      Home: () => this.move(0), End: () => this.move(this.steps.length),
      ...(node ? { Enter: () => this.pick(node.id), ' ': () => this.pick(node.id) } : {}),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  enter() {
    document.addEventListener('keydown', this.outside);
    this.resize.observe(this.host);
  }

  leave() {
    this.pause();
    clearTimeout(this.resting);
    document.removeEventListener('keydown', this.outside);
    this.resize.disconnect();
  }
}

function same(one, other) {
  return one.length === other.length && one.every((id, k) => id === other[k]);
}
