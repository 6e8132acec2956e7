"use strict";

const live = document.getElementById("live");
const message = document.getElementById("message");

// morph makes a node like another, and keeps what is alike, so that the focus, the
// selection and opened details stay.
function morph(node, like) {
  if (node.isEqualNode(like)) return;
  if (node.nodeName !== like.nodeName || node.id !== like.id) {
    node.replaceWith(like.cloneNode(true));
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE) {
    node.nodeValue = like.nodeValue;
    return;
  }
  for (const { name, value } of like.attributes) {
    if (name !== "open" && node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  const wanted = new Set([...like.children].map((child) => child.id));
  for (const child of [...node.children]) {
    if (child.id && !wanted.has(child.id)) child.remove();
  }
  let at = node.firstChild;
  for (const child of like.childNodes) {
    const kept = child.id && [...node.children].find((old) => old.id === child.id);
    if (kept && kept !== at) node.insertBefore(kept, at);
    if (!kept && child.id || !at && !kept) {
      node.insertBefore(child.cloneNode(true), at);
      continue;
    }
    const current = kept || at;
    at = current.nextSibling;
    morph(current, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function listen() {
  const events = new EventSource("/sandbox/events");
  events.onopen = () => {
    live.textContent = "live";
    live.className = "";
  };
  events.onmessage = (event) => {
    const next = new DOMParser().parseFromString(event.data, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) morph(part, next.getElementById(part.id));
  };
  events.onerror = () => {
    live.textContent = "reconnecting";
    live.className = "offline";
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  };
}
listen();

// body returns the content of a form, as JSON without empty fields if it asks for that.
function body(form) {
  const fields = new FormData(form);
  if (!("json" in form.dataset)) return new URLSearchParams(fields);
  const filled = [...fields].filter(([, value]) => value !== "");
  return JSON.stringify(Object.fromEntries(filled.map(([name, value]) => [name, name === "times" ? Number(value) : value])));
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const method = form.dataset.method;
  try {
    const answer = await fetch(form.getAttribute("action"), { method, body: method === "DELETE" ? undefined : body(form) });
    message.textContent = answer.ok ? "done" : await answer.text();
  } catch {
    message.textContent = "no answer";
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    message.textContent = "copied";
  } catch {
    message.textContent = "not copied: " + button.dataset.copy;
  }
});
