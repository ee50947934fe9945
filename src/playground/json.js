// JSON as text: what the page changes in an event leaves every other byte as it was typed, long numbers too.

/** The tokens of valid JSON text, without white space: [text, start]. */
function* tokens(text) {
  const token = /"(?:[^"\\]+|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/gs;
  for (const match of text.matchAll(token)) yield [match[0], match.index];
}

/** Returns JSON text laid out anew, every value as it was; null where it is no JSON. */
export function formatted(text) {
  if (parsed(text) === undefined) return null;
  let out = "", indent = 0, previous = "";
  const line = () => "\n" + "  ".repeat(indent);
  for (const [token] of tokens(text)) {
    const closes = token === "}" || token === "]";
    if (closes) indent--;
    if (closes ? previous !== "{" && previous !== "[" : previous === "{" || previous === "[") out += line();
    out += token === ":" ? ": " : token;
    if (token === ",") out += line();
    if (token === "{" || token === "[") indent++;
    previous = token;
  }
  return out;
}

/** Returns the value that text stands for; undefined where it is no JSON. */
export function parsed(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}

/** Finds the last value of a member of the outermost object: its start and end, and where the object ends. */
function find(text, key) {
  let depth = 0, name = null, start = -1, found = null, end = -1, last = "";
  for (const [token, at] of tokens(text)) {
    if (depth === 1 && (token === "," || token === "}") && start >= 0) {
      if (parsed(name) === key) found = [start, text.slice(0, at).trimEnd().length];
      start = -1;
    } else if (depth === 1 && token === ":" && start === -1) {
      name = last;
      start = -2;
    } else if (start === -2) {
      start = at;
    }
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") { depth--; if (depth === 0) end = at; }
    last = token;
  }
  return { found, end };
}

/**
 * Returns an object's text in which a member has another value, and every other byte is as it was; null where it is no
 * object. What stands there is given to `change`, undefined where nothing does, and it returns what shall.
 */
export function withMember(text, key, change) {
  const whole = parsed(text);
  if (whole === null || typeof whole !== "object" || Array.isArray(whole)) return null;
  const { found, end } = find(text, key);
  if (found) return text.slice(0, found[0]) + change(text.slice(...found)) + text.slice(found[1]);
  const head = text.slice(0, end).trimEnd();
  const comma = head.endsWith("{") ? "" : ",";
  const member = `${JSON.stringify(key)}: ${change(undefined)}`;
  if (!text.includes("\n")) return `${head}${comma && ", "}${member}${text.slice(end)}`;
  // As deep as the brace that closes the object.
  const margin = /\n([ \t]*)$/.exec(text.slice(0, end))?.[1] ?? "";
  return `${head}${comma}\n${margin}  ${member}\n${margin}${text.slice(end)}`;
}
