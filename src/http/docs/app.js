"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const WHO = {
  anyone: "Anyone",
  metrics: "Metrics token",
  client: "OAuth client",
  webhook: "Signed webhook",
  sender: "Sender",
  user: "Signed in",
  admin: "Admin",
  operator: "Operator",
};
const DEEPEST = 3;

let api;

/* An element with properties and children; texts become text nodes, so nothing is parsed as HTML. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return element;
}

/* Text with `code` spans. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part));
}

/* Paragraphs, and lists of lines that begin with "- ". */
function blocks(text) {
  return text.split("\n\n").map((block) => (block.startsWith("- ")
    ? make("ul", {}, block.trim().split("\n").map((line) => make("li", {}, prose(line.slice(2)))))
    : make("p", {}, prose(block))));
}

function resolve(schema) {
  let found = schema || {};
  for (let i = 0; found.$ref && i < 8; i++)
    found = found.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
  return found;
}

/* What a schema comes to once its references and its one alternative to null are looked through. */
function look(schema) {
  const parts = schema.allOf || schema.anyOf;
  if (!parts)
    return { ...resolve(schema), refName: schema.$ref && schema.$ref.split("/").pop() };
  const real = parts.find((part) => part.type !== "null");
  const inner = look(real);
  const nullable = parts.some((part) => part.type === "null");
  return { ...inner, nullable, description: schema.description || inner.description };
}

function typeName(found) {
  const types = [].concat(found.type || "any");
  const nullable = found.nullable || types.includes("null");
  let name = types.filter((type) => type !== "null").join(" or ");
  if (name === "array") {
    const items = look(found.items || {});
    name = `array of ${items.refName || typeName(items)}`;
  } else if (found.refName) {
    name = found.refName;
  } else if (found.format && found.format !== "int64") {
    name = { uuid: "UUID", "date-time": "time" }[found.format] || name;
  }
  return nullable ? `${name} or null` : name;
}

function limits(found) {
  const texts = [];
  const range = (low, high, unit) => {
    if (low !== undefined && high !== undefined)
      texts.push(low === high ? `${low}${unit}` : `${low} to ${high}${unit}`);
    else if (high !== undefined)
      texts.push(`at most ${high}${unit}`);
    else if (low !== undefined)
      texts.push(`at least ${low}${unit}`);
  };
  range(found.minLength, found.maxLength, " characters");
  range(found.minItems, found.maxItems, " entries");
  range(found.minimum, found.maximum, "");
  if (found.enum)
    texts.push(found.enum.filter((value) => value !== null).join(", "));
  return texts.join("; ");
}

function fieldRow(name, schema, required, depth, description) {
  const found = look(schema);
  const text = description || found.description;
  const limit = limits(found);
  return make("tr", {},
    make("td", { className: `name deep${depth}` }, make("b", { className: "path" }, name),
      required ? make("span", { className: "must" }, "required") : null),
    make("td", { className: "type" }, typeName(found)),
    make("td", {}, text ? [prose(text), limit ? " " : ""] : "",
      limit ? make("span", { className: "limits" }, text ? `(${limit})` : limit) : null));
}

/* The rows of an object's fields, and of the objects inside it. */
function fieldRows(schema, input, depth = 0) {
  const found = look(schema);
  return Object.entries(found.properties || {}).flatMap(([name, property]) => {
    const inner = look(property);
    const items = inner.items ? look(inner.items) : inner;
    const required = input && (found.required || []).includes(name);
    const row = fieldRow(name, property, required, depth);
    return items.properties && depth < DEEPEST
      ? [row, ...fieldRows(inner.items || property, input, depth + 1)]
      : [row];
  });
}

function fieldTable(rows) {
  const head = ["Name", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text));
  return make("div", { className: "scroll" },
    make("table", { className: "fields" }, make("thead", {}, make("tr", {}, head)),
      make("tbody", {}, rows)));
}

function heading(text, note) {
  return make("h3", {}, text, note ? [" ", make("small", {}, note)] : null);
}

function example(name, schema) {
  const found = look(schema);
  const type = [].concat(found.type).find((each) => each !== "null");
  if (found.enum)
    return found.enum[0];
  if (type === "object")
    return exampleObject(found);
  if (type === "array")
    return [example(name.replace(/s$/, ""), found.items || {})];
  if (type === "integer")
    return Math.max(found.minimum || 0, Math.min(50, found.maximum === undefined ? 50 : found.maximum));
  if (type === "boolean")
    return true;
  if (/email|^(to|recipient|address)$/i.test(name))
    return "ada@example.com";
  if (found.format === "uuid" || /Id$/.test(name))
    return "0198c2f4-7d1e-7c3a-9b57-2f6d8e4a1c05";
  return found.format === "date-time" ? "2026-01-02T03:04:05.678Z" : `<${name}>`;
}

/* What must be given; everything, where nothing must. */
function exampleObject(found) {
  const all = Object.entries(found.properties || {});
  const needed = all.filter(([name]) => (found.required || []).includes(name));
  return Object.fromEntries((needed.length ? needed : all)
    .map(([name, schema]) => [name, example(name, schema)]));
}

/* Quoted for a POSIX shell. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function contentOf(part) {
  const entry = Object.entries((part && part.content) || {})[0];
  return entry ? { type: entry[0], schema: entry[1].schema } : null;
}

function curl(method, path, operation) {
  const parameters = operation.parameters || [];
  const needed = parameters.filter((each) => each.in === "query" && each.required);
  const query = needed.map((each) => `${each.name}=${encodeURIComponent(example(each.name, each.schema))}`);
  const filled = path.replace(/\{(\w+)\}/g, (whole, name) => {
    const parameter = parameters.find((each) => each.in === "path" && each.name === name);
    const value = example(name, parameter ? parameter.schema : {});
    return value.startsWith("<") ? name : value;
  });
  const url = location.origin + filled + (query.length ? `?${query.join("&")}` : "");
  const words = ["curl"];
  if (method !== "get")
    words.push(`-X ${method.toUpperCase()}`);
  words.push(/[?&']/.test(url) ? quote(url) : url);
  const credentials = {
    client: '-u "$OAUTH_CLIENT_ID:$OAUTH_CLIENT_SECRET"',
    metrics: '-H "Authorization: Bearer $METRICS_TOKEN"',
    webhook: '-H "X-Webhook-Signature: $SIGNATURE"',
    anyone: null,
  };
  const permission = operation["x-permission"];
  const who = permission in credentials ? credentials[permission] : '-H "Authorization: Bearer $TOKEN"';
  const lines = [words.join(" "), who, ...curlBody(operation)].filter(Boolean);
  return lines.join(" \\\n  ");
}

function curlBody(operation) {
  const content = contentOf(operation.requestBody);
  if (!content)
    return [];
  const value = example("", content.schema);
  if (content.type !== "application/json")
    return Object.entries(value).map(([key, each]) => `--data-urlencode ${quote(`${key}=${each}`)}`);
  return ["-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(value))}`];
}

async function copy(button, pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "Copied";
  } catch {
    /* Without a secure context there is no clipboard: the text is selected instead. */
    getSelection().selectAllChildren(pre);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function curlBox(text) {
  const pre = make("pre", {}, make("code", {}, text));
  const button = make("button", { type: "button" }, "Copy");
  button.setAttribute("aria-label", "Copy the curl command");
  button.addEventListener("click", () => copy(button, pre));
  return make("div", { className: "curl" }, pre, button);
}

function parametersPart(operation) {
  const parameters = operation.parameters || [];
  if (!parameters.length)
    return [];
  return [heading("Parameters"), fieldTable(parameters.map((each) =>
    fieldRow(each.in === "query" ? `?${each.name}` : each.name, each.schema, each.required, 0,
      each.description)))];
}

function bodyPart(operation) {
  const content = contentOf(operation.requestBody);
  if (!content)
    return [];
  const note = operation.requestBody.required ? content.type : `${content.type}, may be left out`;
  return [heading("Body", note), fieldTable(fieldRows(content.schema, true))];
}

function replyPart(operation) {
  return Object.entries(operation.responses)
    .filter(([status]) => status < 400)
    .map(([status, reply]) => {
      const content = contentOf(reply);
      const rows = content ? fieldRows(content.schema, false) : [];
      return [heading(`Answer ${status}`, reply.description), rows.length ? fieldTable(rows) : null];
    });
}

function problemsPart(operation) {
  const rows = Object.entries(operation.responses)
    .filter(([status]) => status >= 400)
    .map(([status, reply]) => make("tr", {}, make("td", { className: "status" }, status),
      make("td", {}, make("div", { className: "codes" }, (reply["x-codes"] || []).map((code) =>
        make("a", { href: `#problem-${code}` }, code))))));
  return rows.length ? [heading("Problems"), make("table", {}, make("tbody", {}, rows))] : [];
}

function pathText(path) {
  return path.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? make("i", {}, part) : part));
}

/* The inside is made when it is first shown: a page of many operations opens at once. */
function operationCard({ method, path, operation }) {
  const permission = operation["x-permission"];
  const card = make("details", { className: "operation", id: operation.operationId },
    make("summary", {},
      make("span", { className: `method ${method}` }, method.toUpperCase()),
      make("span", { className: "path" }, pathText(path)),
      make("span", { className: `who ${permission}` }, WHO[permission] || permission),
      make("span", { className: "title" }, operation.summary)));
  card.addEventListener("toggle", () => {
    if (!card.open || card.children.length > 1)
      return;
    card.append(make("div", { className: "detail" }, make("p", {}, operation.description),
      curlBox(curl(method, path, operation)), parametersPart(operation), bodyPart(operation),
      replyPart(operation), problemsPart(operation)));
  });
  return card;
}

function operationsByTag() {
  const tags = new Map(api.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths))
    for (const method of METHODS)
      if (item[method])
        tags.get(item[method].tags[0]).push({ method, path, operation: item[method] });
  return tags;
}

function slug(text) {
  return `topic-${text.toLowerCase().replace(/\W+/g, "-")}`;
}

function problemsSection() {
  const rows = api.components.schemas.Problem["x-problems"].map((problem) =>
    make("tr", { id: `problem-${problem.code}` },
      make("td", { className: "status" }, String(problem.status)),
      make("td", {}, make("code", {}, problem.code)), make("td", {}, problem.title)));
  return make("section", {}, make("h2", { id: "problems" }, "Problems"),
    make("p", {}, prose("An error is `application/problem+json`. `code` is stable and for programs; "
      + "`field` names the field of the request that it concerns.")),
    make("table", { className: "problems" }, make("tbody", {}, rows)));
}

/* Everything that is shown, and for the filter: each card, its link, and the words it answers to. */
function show() {
  const main = document.querySelector("main");
  const nav = document.querySelector("nav");
  const entries = [];
  const intro = blocks(api.info.description);
  const sections = [];
  for (const [tag, operations] of operationsByTag()) {
    const section = make("section", {}, make("h2", { id: slug(tag) }, tag));
    const list = make("ul", {});
    const title = make("h2", {}, make("a", { href: `#${slug(tag)}` }, tag));
    for (const each of operations) {
      const card = operationCard(each);
      const link = make("li", {}, make("a", { href: `#${card.id}` }, each.operation.summary));
      const words = [each.method, each.path, each.operation.summary, tag,
        WHO[each.operation["x-permission"]]].join(" ").toLowerCase();
      section.append(card);
      list.append(link);
      entries.push({ card, link, words });
    }
    sections.push({ section, list, title });
    nav.append(title, list);
  }
  nav.append(make("h2", {}, make("a", { href: "#problems" }, "Problems")));
  const status = document.getElementById("status");
  status.textContent = `${entries.length} operations, version ${api.info.version}`;
  main.replaceChildren(make("div", { className: "intro" }, intro, status),
    ...sections.map((each) => each.section), problemsSection());
  return { entries, sections, status };
}

/* Of the topics at the side only the one that is read is unfolded. */
function setUpTopics({ sections }) {
  const follow = () => {
    const shown = sections.filter(({ section }) => !section.hidden);
    const passed = shown.filter(({ section }) => section.getBoundingClientRect().top < innerHeight / 3);
    const current = passed.at(-1) || shown[0];
    for (const each of sections)
      each.list.classList.toggle("current", each === current);
  };
  addEventListener("scroll", follow, { passive: true });
  addEventListener("resize", follow);
  follow();
}

function setUpFilter({ entries, sections, status }) {
  const input = document.getElementById("filter");
  const nav = document.querySelector("nav");
  const all = status.textContent;
  const apply = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { card, link, words } of entries) {
      const fits = wanted.every((word) => words.includes(word));
      card.hidden = link.hidden = !fits;
      shown += fits;
    }
    for (const { section, list, title } of sections)
      section.hidden = list.hidden = title.hidden = !section.querySelector("details:not([hidden])");
    nav.classList.toggle("filtered", wanted.length > 0);
    status.textContent = wanted.length ? `${shown} of ${all}` : all;
  };
  input.addEventListener("input", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey
        && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && document.activeElement === input) {
      input.value = "";
      apply();
      input.blur();
    }
  });
  apply();
}

function setUpUnfolding({ entries }) {
  const button = document.getElementById("unfold");
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(open));
    button.textContent = open ? "Fold all" : "Unfold all";
    for (const { card } of entries)
      card.open = open;
  });
}

/* Opens, marks and brings into view what the address names, also after the page has been made. */
function followHash() {
  for (const marked of document.querySelectorAll(".aim"))
    marked.classList.remove("aim");
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target)
    return;
  if (target.tagName === "DETAILS")
    target.open = true;
  if (target.tagName === "TR")
    target.classList.add("aim");
  target.scrollIntoView();
}

async function start() {
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok)
      throw new Error(`the server answered ${answer.status}`);
    api = await answer.json();
    const shown = show();
    setUpFilter(shown);
    setUpTopics(shown);
    setUpUnfolding(shown);
    addEventListener("hashchange", followHash);
    followHash();
  } catch (error) {
    const status = document.getElementById("status");
    status.className = "error";
    status.textContent = `The description could not be shown: ${error.message}.`;
  }
}

start();
