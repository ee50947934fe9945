// The page: an event on the left, what leaves on the right. All that is decided is decided by the program behind it.

import { formatted, parsed, withMember } from "./json.js";

const $ = (id) => document.getElementById(id);
const event = $("event");

/** What there is to choose from, by name. */
const offers = new Map();
/** What is edited: name -> { definition?, settings? }. */
let edits = {};
let chosen = [];
/** The cards by name; they stay while their contents change, so that an editor keeps its cursor. */
const cards = new Map();
let lastAnswer = null;

/** Makes an element: attributes, then children; a function is a listener, null is left out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

function say(text) { $("status").textContent = text; }

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

// ---- asking -------------------------------------------------------------------------------------------------------

let asking = null, due = null;

/** Asks when typing pauses. */
function changed() {
  clearTimeout(due);
  due = setTimeout(() => { ask(); remember(); }, 150);
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  const destinations = chosen.map((name) => ({ name, ...edits[name] }));
  const slow = setTimeout(() => say("Routing…"), 400);
  try {
    const body = JSON.stringify({ event: event.value, destinations });
    const headers = { "content-type": "application/json" };
    const response = await fetch("/playground/explain", { method: "POST", headers, body, signal: asking.signal });
    if (!response.ok) {
      const too = response.status === 413 ? "That is more than the page takes: 4 MiB with all definitions." : await response.text();
      return say(too.trim());
    }
    show(await response.json());
  } catch (error) {
    if (error.name !== "AbortError") say("groupcast does not answer; is it still running?");
  } finally {
    clearTimeout(slow);
  }
}

// ---- showing ------------------------------------------------------------------------------------------------------

const WORDS = { emitted: ["good", "✓ sent"], skipped: ["calm", "– not sent"], dead_lettered: ["bad", "✕ dead letter"] };
const FLAG_REASONS = new Set(["flag_false", "all_false", "opt_in"]);

function badge(outcome, text) {
  const [kind, word] = WORDS[outcome];
  return element("span", { class: `badge ${kind}` }, text ?? word);
}

/** The colours by what came: those of the event's traits in their order, so that neighbours differ; then the others. */
let colours = new Map();

/** What something is made of has one colour wherever it shows; the words beside it say the same. */
function colour(from) {
  if (!colours.has(from)) colours.set(from, colours.size % 8);
  return `made o${colours.get(from)}`;
}

const sentence = ({ sentence, code, reason }) => `${sentence} (${code ?? reason})`;

function show(answer) {
  lastAnswer = answer;
  const { explanation } = answer;
  colours = new Map();
  showVerdict(explanation);
  showTraits(explanation.event?.traits ?? []);
  const parts = new Map(explanation.destinations.map((part, index) => [part.destination, { part, bodies: answer.bodies[index] }]));
  for (const name of chosen) {
    const faults = answer.faults.filter((fault) => fault.destination === name);
    showCard(name, parts.get(name), faults, explanation);
  }
  showFlags(parts);
  const count = (outcome) => explanation.destinations.filter((part) => part.outcome === outcome).length;
  const records = explanation.destinations.reduce((sum, part) => sum + part.operations.length, 0);
  const nFaults = answer.faults.filter((fault) => fault.severity === "error").length;
  const faulty = nFaults ? `, ${nFaults} ${nFaults === 1 ? "fault" : "faults"} in what was edited` : "";
  say(explanation.verdict === "routed"
    ? `${count("emitted")} sent, ${count("skipped")} not sent, ${count("dead_lettered")} dead letters; ${records} records${faulty}`
    : `${explanation.verdict.replace("_", "-")}: ${explanation.sentence}${faulty}`);
}

function showVerdict({ verdict, reason, sentence: text, detail, event: part, notes, is_traced }) {
  const outcome = { routed: "emitted", ignored: "skipped", dead_lettered: "dead_lettered" }[verdict];
  const word = { routed: "✓ a group event", ignored: "– ignored", dead_lettered: "✕ dead letter" }[verdict];
  const who = part ? `group ${part.group_id}, member ${part.member ?? "none"}, time ${part.time ?? "none"}` : `${text} (${reason})`;
  $("verdict").replaceChildren(
    element("div", {}, badge(outcome, word), ` ${who}`),
    ...(detail ? [element("div", { class: "bad" }, detail)] : []),
    ...notes.filter((note) => note.code !== "trait_collision").map((note) => element("div", { class: "muted" }, `“${note.subject}”: ${sentence(note)}`)),
    ...(is_traced ? [] : [element("div", { class: "muted" }, "The event has too many values to look for what came from where.")]),
  );
}

function showTraits(traits) {
  const rows = traits.slice(0, 200).map((found) => {
    const places = found.destinations.filter((share) => share.places.length).length;
    const value = found.value === null && found.kind !== "null" ? "put together" : JSON.stringify(found.value);
    const said = [
      found.key && found.key !== found.name ? `came as “${found.key}”` : "",
      found.lost.length ? `won over ${found.lost.map((key) => `“${key}”`).join(", ")}` : "",
      `in ${places} of ${found.destinations.length} destinations`,
    ].filter(Boolean).join("; ");
    return element("div", { class: `trait ${colour(`traits.${found.name}`)}`, "data-from": JSON.stringify([`traits.${found.name}`]) },
      element("strong", {}, found.name), element("span", { class: "mono" }, value.length > 80 ? value.slice(0, 79) + "…" : value),
      element("span", { class: "muted" }, said));
  });
  const more = traits.length - rows.length;
  $("traits").replaceChildren(...rows, ...(more > 0 ? [element("p", { class: "muted" }, `and ${more} more`)] : []));
  if (!traits.length) $("traits").replaceChildren(element("p", { class: "muted" }, "none"));
}

/** Shows one destination: what became of the event there, and why. */
function showCard(name, found, faults, explanation) {
  const card = cards.get(name);
  const part = found?.part;
  const [kind, word] = part ? WORDS[part.outcome] : ["bad", explanation.event ? "✕ fault" : "– not asked"];
  const isAsked = part || explanation.event;
  card.jump.className = isAsked ? kind : "";
  card.jump.replaceChildren(
    element("span", { "aria-hidden": "true" }, `${word[0]} `), name, element("span", { class: "unseen" }, `: ${word.slice(2)}`));
  card.badge.replaceChildren(part ? badge(part.outcome)
    : element("span", { class: "badge bad" }, explanation.event ? "✕ fault" : "not asked"));
  const why = [];
  if (part) {
    if (part.outcome !== "emitted") why.push(sentence(part));
    if (part.missing.length) why.push(`absent: ${part.missing.join(", ")}`);
    why.push(part.decided_by.sentence);
    for (const refused of part.refused) {
      if (part.outcome === "emitted" || refused.reason !== part.reason) why.push(`no ${refused.operation}: ${sentence(refused)}`);
    }
    why.push(...grouped(part.notes));
  } else if (!faults.some((fault) => fault.severity === "error")) {
    why.push(explanation.sentence);
  } else {
    why.push("mend what is marked below, and it is asked again");
  }
  card.why.replaceChildren(...why.map((text) => element("div", {}, text)));
  card.operations.replaceChildren(...(part?.operations ?? []).map((operation, index) => showOperation(operation, found.bodies[index])));
  card.faults.replaceChildren(...faults.map((fault) => showFault(fault, card)));
  if (faults.length && !card.editor.isConnected) openEditor(name);
}

/** Says each kind of note once, with all that it happened to. */
function grouped(notes) {
  const kinds = new Map();
  for (const note of notes) {
    const text = sentence(note);
    kinds.set(text, [...(kinds.get(text) ?? []), `“${note.subject}”`]);
  }
  return [...kinds].map(([text, subjects]) => `${subjects.join(", ")}: ${text}`);
}

function showOperation(operation, { lines, batch }) {
  const fact = (term, text) => text ? [element("dt", {}, term), element("dd", { class: "mono" }, text)] : [];
  return element("div", { class: "operation" },
    element("div", { class: "bar" }, element("h3", {}, operation.operation),
      element("button", { type: "button", click: () => copy(curl(operation, batch), "A curl command was") }, "Copy as curl")),
    element("dl", { class: "facts" }, ...fact("request", operation.request), ...fact("topic", operation.topic),
      ...fact("key", operation.key), ...fact("id", operation.id), ...fact("due to", operation.due_to.join(", "))),
    element("ol", { class: "lines" }, ...lines.slice(0, 400).map(showLine),
      ...(lines.length > 400 ? [element("li", { class: "muted" }, `and ${lines.length - 400} more lines`)] : [])));
}

function showLine({ text, origin }) {
  const shown = element("span", { class: "text" }, text.length > 2000 ? text.slice(0, 2000) + "…" : text);
  if (!origin) return element("li", {}, shown);
  const came = origin.conversion?.came;
  const as = came ? `, which came as ${came.length > 60 ? came.slice(0, 59) + "…" : came}` : "";
  return element("li", { class: colour(origin.from[0]), "data-from": JSON.stringify(origin.from) },
    shown, element("span", { class: "from" }, `← ${origin.from.join(", ")}${as}`));
}

/** A request as a sender would make it. Whom to ask and by which right, the definition does not know. */
function curl({ request, body }, batch) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const [method, path] = request.split(/ (.*)/);
  const item = lastBodyText(body);
  const json = batch.as === "array" ? `[${item}]` : batch.as?.array_in ? `{${JSON.stringify(batch.as.array_in)}:[${item}]}` : item;
  const words = [`curl -X ${method} "$API_URL"${quoted(path ?? "")}`, `-H "Authorization: $API_AUTHORIZATION"`];
  if (batch.encoding === "form") {
    for (const [name, value] of Object.entries(body)) {
      words.push(`--data-urlencode ${quoted(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)}`);
    }
  } else if (batch.encoding?.form) {
    words.push(`--data-urlencode ${quoted(`${batch.encoding.form}=${json}`)}`);
  } else {
    words.push(`-H 'Content-Type: application/json'`, `--data-raw ${quoted(json)}`);
  }
  return words.join(" \\\n  ");
}

/** The body digit for digit, which a parsed one is not: its lines put together. */
function lastBodyText(body) {
  for (const [index, part] of lastAnswer.explanation.destinations.entries()) {
    const at = part.operations.findIndex((operation) => operation.body === body);
    if (at >= 0) return lastAnswer.bodies[index][at].lines.map((line) => line.text.trimStart()).join("");
  }
  return JSON.stringify(body);
}

// ---- what belongs together lights up ----------------------------------------------------------------------------------

function light(target) {
  const from = target instanceof Element ? target.closest("[data-from]") : null;
  const names = from ? JSON.parse(from.dataset.from) : [];
  const isPart = (a, b) => a === b || a.startsWith(b + ".") || b.startsWith(a + ".");
  for (const other of document.querySelectorAll("[data-from]")) {
    const theirs = JSON.parse(other.dataset.from);
    other.classList.toggle("lit", names.some((name) => theirs.some((their) => isPart(name, their))));
  }
}

// ---- flags ----------------------------------------------------------------------------------------------------------

/** The switches: what the event's integrations say, and what follows from them. */
function showFlags(parts) {
  const integrations = parsed(event.value)?.integrations;
  const isObject = integrations !== null && typeof integrations === "object" && !Array.isArray(integrations);
  const all = isObject ? integrations.All : undefined;
  const rows = [switchOf("All", all !== false, all === undefined ? "not given: all others are sent to" : "the others", "All")];
  for (const name of chosen) {
    const part = parts.get(name)?.part;
    if (!part) continue;
    const { by, flag, sentence: text } = part.decided_by;
    const isExcluded = part.outcome === "skipped" && FLAG_REASONS.has(part.reason);
    rows.push(switchOf(offers.get(name).flag, !isExcluded, text, flag && by !== "all" ? flag : offers.get(name).flag));
  }
  // A switch that has the focus keeps it.
  const focused = document.activeElement?.dataset?.flag;
  $("flags").replaceChildren(...rows);
  if (focused) $("flags").querySelector(`[data-flag="${CSS.escape(focused)}"]`)?.focus();
}

function switchOf(label, isOn, title, flag) {
  const turn = ({ target }) => setFlag(flag, target.checked);
  return element("label", { class: "switch", title },
    element("input", { type: "checkbox", role: "switch", checked: isOn, "data-flag": label, change: turn }), element("span", {}, label));
}

function setFlag(flag, isOn) {
  const within = (integrations) => withMember(integrations, flag, () => String(isOn));
  const none = event.value.includes("\n") ? "{\n  }" : "{}";
  const text = withMember(event.value, "integrations", (before) => within(before ?? none) ?? within(none));
  if (text === null) return say("The event must be a JSON object before a flag can be set.");
  event.value = text;
  changed();
}

// ---- destinations -------------------------------------------------------------------------------------------------------

const LABELS = { settings: "Settings", definition: "Definition" };

function makeCard(name) {
  const offer = offers.get(name);
  const card = { badge: element("span"), why: element("div", { class: "why" }), operations: element("div"), faults: element("div") };
  for (const list of [card.operations, card.faults]) list.className = "results-list";
  const text = (part) => edits[name]?.[part] ?? offer[part];
  const area = (part, rows) => element("textarea", {
    rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-label": `${LABELS[part]} of ${name}`,
    input: ({ target }) => edit(name, part, target.value),
  }, text(part));
  card.settings = area("settings", Math.min(12, offer.settings.split("\n").length + 1));
  card.definition = area("definition", 24);
  card.editor = element("div", { class: "editor" },
    element("label", {}, LABELS.settings, card.settings), element("label", {}, LABELS.definition, card.definition),
    element("div", { class: "bar" },
      element("button", { type: "button", click: () => reset(name) }, "Undo all edits"),
      element("button", { type: "button", click: () => copy(card.definition.value, "The definition was") }, "Copy definition"),
      ...offer.docs.slice(0, 1).map((page) => element("a", { href: page, target: "_blank", rel: "noreferrer", class: "hint" }, "The vendor's page"))));
  card.toggle = element("button", { type: "button", "aria-expanded": "false", click: () => toggleEditor(name) }, "Edit");
  card.jump = element("button", { type: "button", click: () => goTo(card.root) }, name);
  card.root = element("article", { class: "card", "aria-label": name, tabindex: "-1" },
    element("div", { class: "bar" }, element("h2", {}, name), card.badge, card.toggle),
    element("p", { class: "hint" }, offer.about), card.why, card.operations, card.faults);
  return card;
}

/** Shows a part of the page as a link within it would; the fragment is not free for that. */
function goTo(target) {
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "start" });
}

function openEditor(name) {
  const card = cards.get(name);
  card.root.append(card.editor);
  card.toggle.setAttribute("aria-expanded", "true");
  card.toggle.textContent = "Close";
}

function toggleEditor(name) {
  const card = cards.get(name);
  if (!card.editor.isConnected) {
    openEditor(name);
    return card.definition.focus({ preventScroll: false });
  }
  card.editor.remove();
  card.toggle.setAttribute("aria-expanded", "false");
  card.toggle.textContent = "Edit";
}

function edit(name, part, text) {
  const edited = { ...edits[name], [part]: text };
  if (text === offers.get(name)[part]) delete edited[part];
  edits = { ...edits, [name]: edited };
  if (!Object.keys(edited).length) delete edits[name];
  changed();
}

function reset(name) {
  const card = cards.get(name);
  delete edits[name];
  for (const part of ["settings", "definition"]) card[part].value = offers.get(name)[part];
  changed();
}

function showFault({ part, severity, message, hint, place }, card) {
  const go = () => {
    if (!place) return;
    const area = card[part] ?? card.definition;
    const before = area.value.split("\n").slice(0, place.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    const start = before + place.column - 1;
    area.focus();
    area.setSelectionRange(start, start + place.length);
    const lineHeight = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, (place.line - 4) * lineHeight);
  };
  const where = place ? `${part}, line ${place.line}, column ${place.column}: ` : `${part}: `;
  const mark = place ? element("pre", { class: "mono" }, `${place.text}\n${" ".repeat(place.column - 1)}${"^".repeat(place.length)}`) : null;
  return element("button", { type: "button", class: `fault ${severity}`, click: go },
    element("span", {}, element("strong", {}, `${severity}: `), where + message), mark, hint ? element("span", {}, `hint: ${hint}`) : null);
}

/** Shows the chosen destinations' cards, in the order of the offers. */
function choose(names) {
  chosen = [...offers.keys()].filter((name) => names.includes(name));
  for (const name of chosen) if (!cards.has(name)) cards.set(name, makeCard(name));
  $("results").replaceChildren(...chosen.map((name) => cards.get(name).root));
  $("overview").replaceChildren(...chosen.map((name) => cards.get(name).jump));
  for (const box of $("offers").querySelectorAll("input")) box.checked = chosen.includes(box.value);
  $("n-chosen").textContent = `${chosen.length} of ${offers.size}`;
}

function showOffers() {
  $("offers").replaceChildren(...[...offers.values()].map(({ name, about }) => element("label", { title: about },
    element("input", {
      type: "checkbox", value: name,
      change: ({ target }) => {
        choose(target.checked ? [...chosen, name] : chosen.filter((other) => other !== name));
        changed();
      },
    }), name)));
}

// ---- links: the whole state in the fragment, which no server sees ---------------------------------------------------------

async function piped(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

async function packed(state) {
  const bytes = await piped(new TextEncoder().encode(JSON.stringify(state)), new CompressionStream("deflate-raw"));
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(await piped(bytes, new DecompressionStream("deflate-raw"))));
}

/** Browsers and chats cut longer ones. */
const MAX_LINK = 60000;
let written = "";

async function remember() {
  const fragment = await packed({ event: event.value, chosen, edits });
  written = fragment.length > MAX_LINK ? "" : fragment;
  history.replaceState(null, "", written ? `#${written}` : location.pathname);
}

/** Takes the state of the address: returns true, null where there is none, and false where it is damaged. */
async function recall() {
  const fragment = location.hash.slice(1);
  if (!fragment || fragment === written) return null;
  try {
    const state = await unpacked(fragment);
    if (typeof state.event !== "string" || !Array.isArray(state.chosen)) throw new Error("another shape");
    edits = Object.fromEntries(Object.entries(state.edits ?? {}).filter(([name]) => offers.has(name)));
    cards.clear();
    event.value = state.event;
    choose(state.chosen);
    for (const name of chosen) if (edits[name]) openEditor(name);
    return true;
  } catch {
    return false;
  }
}

// ---- the start ------------------------------------------------------------------------------------------------------------

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
  $("theme").setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
}

function setUpTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const apply = () => setTheme(stored() ?? (system.matches ? "dark" : "light"));
  system.addEventListener("change", apply);
  $("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", theme); } catch { /* it lasts until the page is closed */ }
    setTheme(theme);
  });
  apply();
}

async function begin() {
  setUpTheme();
  const offered = await (await fetch("/playground/offer")).json();
  for (const offer of offered.destinations) offers.set(offer.name, offer);
  showOffers();
  $("sample").append(...offered.samples.map(({ title }, index) => element("option", { value: index }, title)));
  const take = (index) => { event.value = formatted(offered.samples[index].event) ?? offered.samples[index].event; };
  $("sample").addEventListener("change", ({ target }) => { take(target.value); changed(); });
  $("format").addEventListener("click", () => {
    const text = formatted(event.value);
    if (text === null) return say("It is no JSON, so it stays as it is.");
    event.value = text;
    changed();
  });
  $("link").addEventListener("click", async () => {
    await remember();
    if (!written) return say("The event is too long for a link.");
    copy(location.href, "A link to just this was");
  });
  $("find").addEventListener("input", ({ target }) => {
    const wanted = target.value.toLowerCase();
    for (const label of $("offers").children) label.hidden = !label.textContent.toLowerCase().includes(wanted);
  });
  event.addEventListener("input", changed);
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, ({ target }) => light(target));
  document.querySelector(".skip").addEventListener("click", (click) => {
    click.preventDefault();
    goTo($("results"));
  });
  addEventListener("hashchange", async () => {
    const isRecalled = await recall();
    if (isRecalled) ask();
    if (isRecalled === false) say("The link is damaged; the page stays as it was.");
  });
  const isRecalled = await recall();
  if (!isRecalled) {
    take(0);
    choose(offered.destinations.filter((offer) => offer.is_chosen).map((offer) => offer.name));
  }
  await ask();
  if (isRecalled === false) say("The link is damaged; this is the first sample instead.");
}

begin().catch(() => say("groupcast does not answer; is it still running?"));
