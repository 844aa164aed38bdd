"use strict";

const PAGE = 50;
const LOOK_MS = 2000; // how often the page looks for new messages
const TYPING_MS = 250;
const SOURCE_MAX = 200000; // characters of a source that are shown

const FATES = {
  success: "delivered",
  bounce: "bounces",
  complaint: "complains",
  ooto: "out of office",
  suppressionlist: "suppressed",
};

const byId = (id) => document.getElementById(id);

/* What the page shows: the list from the newest on, and how many there are of all. */
const shown = { items: [], total: 0, mark: "", open: "", asked: 0 };

/* An element with properties and children; texts become text nodes, so nothing is parsed as HTML. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat().filter((child) => child !== null && child !== ""));
  return element;
}

async function call(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer;
}

/* Fields by name, in any case. */
function field(content, name) {
  const wanted = name.toLowerCase();
  const found = Object.entries(content?.Headers ?? {}).find(([key]) => key.toLowerCase() === wanted);
  return found ? found[1] : [];
}

function bytesOf(text, encoding) {
  if (encoding.toLowerCase() === "b")
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const plain = text.replaceAll("_", " ").replace(/=([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

function decodeBytes(bytes, charset) {
  try {
    return new TextDecoder(charset || "utf-8").decode(bytes);
  } catch {
    return new TextDecoder("utf-8").decode(bytes);
  }
}

/* Encoded words (RFC 2047); white space between two of them is not shown. */
function words(text) {
  const joined = text.replace(/(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)\s+(?==\?[^?\s]+\?[bq]\?)/gi, "$1");
  return joined.replace(/=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bq])\?([^?\s]*)\?=/gi, (whole, charset, encoding, body) => {
    try {
      return decodeBytes(bytesOf(body, encoding), charset);
    } catch {
      return whole;
    }
  });
}

const address = (path) => (path.Domain ? `${path.Mailbox}@${path.Domain}` : path.Mailbox || "<>");
const subjectOf = (item) => words(field(item.Content, "Subject")[0] ?? "") || "(no subject)";
const senderOf = (item) => words(field(item.Content, "From")[0] ?? "") || address(item.From);
const named = (text) => text.replace(/\s*<[^>]*>$/, "").replace(/^"(.*)"$/, "$1") || text;

function fateOf(path) {
  if (path.Domain.toLowerCase() !== "simulator.amazonses.com") return "";
  return FATES[path.Mailbox.toLowerCase().split("+")[0]] ?? "";
}

function when(text) {
  const time = new Date(text), now = new Date();
  const sameDay = time.toDateString() === now.toDateString();
  const short = sameDay ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return make("time", { dateTime: text, title: time.toLocaleString() }, new Intl.DateTimeFormat(undefined, short).format(time));
}

/* The list */

function row(item) {
  const fates = item.To.map(fateOf).filter(Boolean);
  const link = make("a", { href: `#${item.ID}` },
    make("span", { className: "line" }, make("strong", {}, named(senderOf(item))), when(item.Created)),
    make("span", { className: "subject" }, subjectOf(item)),
    make("span", { className: "line" }, make("span", { className: "to" }, `to ${item.To.map(address).join(", ")}`),
      ...fates.slice(0, 1).map((fate) => make("span", { className: "fate" }, fate))));
  if (item.ID === shown.open) link.setAttribute("aria-current", "true");
  return make("li", {}, link);
}

function showList() {
  byId("list").replaceChildren(...shown.items.map(row));
  byId("more").hidden = shown.items.length >= shown.total;
  byId("clear").hidden = shown.total === 0 || byId("query").value !== "";
  const many = `${shown.total} message${shown.total === 1 ? "" : "s"}`;
  byId("status").textContent = byId("query").value ? `${many} found` : many;
  if (shown.open === "") showNothing();
}

function listPath(start, limit) {
  const query = byId("query").value;
  const page = `start=${start}&limit=${limit}`;
  if (query === "") return `/api/v2/messages?${page}`;
  return `/api/v2/search?${page}&kind=${byId("kind").value}&query=${encodeURIComponent(query)}`;
}

/* What tells a list that changed from one that did not. */
const markOf = (page) => `${page.total} ${page.items[0]?.ID ?? ""}`;

/* Reads the list anew, as far as it is shown. A later call's answer goes before an earlier one's. */
async function readList() {
  const asked = ++shown.asked;
  const wanted = Math.max(PAGE, shown.items.length);
  const items = [];
  let page;
  do {
    page = await (await call(listPath(items.length, PAGE))).json();
    if (asked !== shown.asked) return;
    if (items.length === 0) shown.mark = markOf(page);
    items.push(...page.items);
  } while (page.count > 0 && items.length < wanted && items.length < page.total);
  Object.assign(shown, { items, total: page.total });
  showList();
}

async function readMore() {
  const page = await (await call(listPath(shown.items.length, PAGE))).json();
  const known = new Set(shown.items.map((item) => item.ID));
  shown.items.push(...page.items.filter((item) => !known.has(item.ID)));
  shown.total = page.total;
  showList();
}

/* The message */

function showNothing() {
  byId("message").replaceChildren(shown.total > 0
    ? make("p", { className: "empty" }, "Choose a message.")
    : make("div", { className: "empty" },
      make("p", {}, byId("query").value ? "No message is like that." : "No message yet."),
      make("p", {}, "What is sent by SMTP to this machine, or through Holdfast, is kept here and delivered to nobody. Mail to bounce@, complaint@, ooto@, suppressionlist@ or success@simulator.amazonses.com comes back as the event that SES would send.")));
}

/* Every part that is no multipart, with the number by which it can be had. */
function leaves(item) {
  const found = [];
  const visit = (content, parts, number) => {
    if (parts) parts.forEach((part, i) => visit(part, part.MIME?.Parts, number ?? i));
    else found.push({ content, number });
  };
  visit(item.Content, item.MIME?.Parts);
  return found.map(({ content, number }) => {
    const type = field(content, "Content-Type")[0] ?? "text/plain";
    const disposition = field(content, "Content-Disposition")[0] ?? "";
    const name = /\b(?:file)?name="?([^";]+)"?/i.exec(`${disposition}; ${type}`)?.[1] ?? "";
    return { type: type.split(";")[0].trim().toLowerCase(), attached: /^attachment/i.test(disposition), name: words(name), number };
  });
}

const note = (text) => make("p", { className: "empty" }, text);

/* A pane that is filled once something was read. */
function pane(read) {
  const box = make("div", { className: "pane" });
  read(box).catch((error) => box.replaceChildren(note(`It cannot be shown: ${error.message}`)));
  return box;
}

const textPane = (id) => pane(async (box) => {
  const answer = await call(`/messages/${id}/text`);
  const charset = /charset=([^;]+)/.exec(answer.headers.get("content-type"))?.[1];
  box.append(make("pre", { className: "text" }, decodeBytes(await answer.arrayBuffer(), charset)));
});

const sourcePane = (id) => pane(async (box) => {
  const text = await (await call(`/api/v1/messages/${id}/download`)).text();
  box.append(make("pre", {}, text.slice(0, SOURCE_MAX)));
  if (text.length > SOURCE_MAX) box.append(note("The rest is in the download."));
});

const headerPane = (item) => pane(async (box) => {
  const rows = Object.entries(item.Content.Headers).flatMap(([name, values]) =>
    values.map((value) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, words(value)))));
  box.append(make("table", {}, make("tbody", {}, ...rows)));
});

function framePane(id) {
  const frame = make("iframe", { src: `/messages/${id}/html`, title: "The message as HTML", referrerPolicy: "no-referrer" });
  frame.setAttribute("sandbox", "allow-popups allow-popups-to-escape-sandbox");
  return make("div", { className: "pane html" }, frame);
}

function tabs(item) {
  const parts = leaves(item);
  const has = (type) => parts.some((part) => part.type === type && !part.attached);
  const all = [
    has("text/html") && ["HTML", () => framePane(item.ID)],
    has("text/plain") && ["Text", () => textPane(item.ID)],
    ["Headers", () => headerPane(item)],
    ["Source", () => sourcePane(item.ID)],
  ].filter(Boolean);
  const place = make("div", { className: "panes" });
  const buttons = all.map(([name, build]) => {
    const button = make("button", { type: "button", onclick: () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      place.replaceChildren(build());
    } }, name);
    return button;
  });
  buttons[0].click();
  return [make("div", { className: "tabs", role: "group", ariaLabel: "Views" }, ...buttons), place];
}

function attachments(item) {
  const parts = leaves(item).filter((part) => part.number !== undefined && (part.attached || part.name));
  if (parts.length === 0) return null;
  return make("ul", { className: "files" }, ...parts.map((part) => make("li", {},
    make("a", { href: `/api/v1/messages/${item.ID}/mime/part/${part.number}/download`, download: part.name || `part-${part.number}` }, part.name || `part ${part.number}`),
    ` ${part.type}`)));
}

function people(label, texts) {
  return [make("dt", {}, label), make("dd", {}, ...texts.flatMap((text, i) => (i ? [", ", text] : [text])))];
}

function showMessage(item) {
  const to = item.To.map((path) => {
    const fate = fateOf(path);
    return fate ? make("span", {}, address(path), " ", make("span", { className: "fate" }, fate)) : address(path);
  });
  byId("message").replaceChildren(
    make("div", { className: "head" },
      make("div", { className: "title" }, make("h2", {}, subjectOf(item)),
        make("a", { className: "button", href: `/api/v1/messages/${item.ID}/download` }, "Download"),
        make("button", { type: "button", className: "danger", onclick: () => remove(item.ID) }, "Delete")),
      make("dl", {}, ...people("From", [senderOf(item)]), ...people("To", to), ...people("Kept", [new Date(item.Created).toLocaleString()])),
      ...[attachments(item)].filter(Boolean)),
    ...tabs(item));
}

async function openMessage() {
  shown.open = location.hash.slice(1);
  for (const link of byId("list").querySelectorAll("a"))
    if (link.hash.slice(1) === shown.open) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  if (shown.open === "") return showNothing();
  const id = shown.open;
  try {
    const item = await (await call(`/api/v1/messages/${encodeURIComponent(id)}`)).json();
    if (id === shown.open) showMessage(item);
  } catch {
    if (id === shown.open) byId("message").replaceChildren(note("This message is not there any more."));
  }
}

/* What changes */

function fail(error) {
  byId("status").textContent = `The sandbox does not answer: ${error.message}`;
  shown.mark = "";
}

const quietly = (work) => (...args) => work(...args).catch(fail);
const refresh = quietly(readList);

async function remove(id) {
  await call(`/api/v1/messages/${id}`, { method: "DELETE" }).catch(fail);
  location.hash = "";
  await refresh();
}

async function removeAll() {
  if (!confirm("Delete all messages?")) return;
  await call("/api/v1/messages", { method: "DELETE" });
  location.hash = "";
  await readList();
}

async function look() {
  if (document.hidden) return;
  const page = await (await call(listPath(0, 1))).json();
  if (markOf(page) !== shown.mark) await readList();
}

let typing;
byId("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    shown.items = [];
    refresh();
  }, TYPING_MS);
});
byId("kind").addEventListener("change", () => byId("query").value && refresh());
byId("more").addEventListener("click", quietly(readMore));
byId("clear").addEventListener("click", quietly(removeAll));
addEventListener("hashchange", openMessage);
document.addEventListener("visibilitychange", quietly(look));
setInterval(quietly(look), LOOK_MS);
refresh();
openMessage();
