"use strict";
// Writes the page from /openapi.json. Whatever a component says of itself is text here, never markup.
let api;

const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

const resolve = (part) => {
  for (let hops = 0; part && part.$ref && hops < 8; hops++) {
    const path = part.$ref.replace(/^#\//, "").split("/");
    part = path.reduce((at, key) => at && at[key.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  }
  return part || {};
};

// A schema as people write types, two levels of it spelled out.
const shape = (schema, depth = 0, indent = "") => {
  if (!schema || schema === true) return "anything";
  const name = schema.$ref && schema.$ref.split("/").pop();
  const whole = resolve(schema);
  const parts = whole.oneOf || whole.anyOf;
  if (parts) return parts.map((part) => shape(part, depth, indent)).join(" | ");
  if (whole.allOf) return whole.allOf.map((part) => shape(part, depth, indent)).join(" & ");
  if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [].concat(whole.type || (whole.properties ? "object" : []));
  const of = (type) => {
    if (type === "array") return `[${shape(whole.items, depth, indent)}]`;
    if (type !== "object") return whole.format && type !== "null" ? `${type} (${whole.format})` : type;
    const members = Object.entries(whole.properties || {});
    if (members.length === 0) {
      const rest = whole.additionalProperties;
      return rest && rest !== true ? `{ any name: ${shape(rest, depth, indent)} }` : "object";
    }
    if (depth > 2) return name || "object";
    const inner = indent + "  ";
    const needed = whole.required || [];
    const lines = members.map(([key, value]) => {
      const said = value.description || (value.$ref ? "" : resolve(value).description) || "";
      const note = said ? `  // ${said.split("\n")[0]}` : "";
      return `${inner}${key}${needed.includes(key) ? "" : "?"}: ${shape(value, depth + 1, inner)}${note}`;
    });
    return `{\n${lines.join("\n")}\n${indent}}`;
  };
  return types.length ? types.map(of).join(" | ") : "anything";
};

// Something to begin with: what is required, and no more.
const example = (schema, depth = 0) => {
  const whole = resolve(schema);
  if (whole.oneOf || whole.anyOf) return example((whole.oneOf || whole.anyOf)[0], depth);
  if (whole.enum) return whole.enum[0];
  const type = [].concat(whole.type || "object")[0];
  if (type === "string") return "";
  if (type === "integer" || type === "number") return whole.minimum || 0;
  if (type === "boolean") return false;
  if (type === "array") return depth > 3 ? [] : [example(whole.items, depth + 1)];
  const needed = whole.required || [];
  return Object.fromEntries(needed.map((key) => [key, example((whole.properties || {})[key], depth + 1)]));
};

const table = (heads, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { textContent: head })))),
  make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))))));

const code = (text) => make("code", { textContent: text });

const contents = (content) => Object.entries(content || {}).flatMap(([kind, media]) => [
  code(kind), make("pre", { textContent: shape(media.schema) }),
]);

const answers = (responses) => {
  const rows = Object.entries(responses || {}).map(([status, response]) => {
    const { description, content, $ref } = { ...resolve(response), $ref: response.$ref };
    const cell = make("div", {}, make("div", { textContent: description }));
    // The common errors have one form, which is told above.
    if (!$ref && Number(status) < 300) cell.append(...contents(content));
    return [code(status), cell];
  });
  return table(["Status", "Answer"], rows);
};

const field = (parameter) => {
  const input = make("input", { name: parameter.name });
  input.dataset.place = parameter.in;
  return make("label", { className: parameter.required ? "needed" : "" }, `${parameter.name}, ${parameter.in}`, input);
};

const formFields = (schema) => {
  const whole = resolve(schema);
  return Object.entries(whole.properties || {}).map(([name, part]) => {
    const isFile = name === "file" || name === "component";
    const input = make("input", { name, type: isFile ? "file" : "text", multiple: [].concat(part.type).includes("array") });
    input.dataset.place = "form";
    return make("label", { className: (whole.required || []).includes(name) ? "needed" : "" }, `${name}, form`, input);
  });
};

const send = async (form, path, method, kind, shown) => {
  const inputs = [...form.querySelectorAll("input")].filter((input) => input.value);
  const of = (place) => inputs.filter((input) => input.dataset.place === place);
  for (const input of of("path")) path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
  const query = new URLSearchParams(of("query").map((input) => [input.name, input.value]));
  const headers = Object.fromEntries(of("header").map((input) => [input.name, input.value]));
  const token = document.getElementById("token").value.trim();
  if (token) headers.authorization = `Bearer ${token}`;
  let body;
  if (kind === "multipart/form-data") {
    body = new FormData();
    for (const input of of("form")) {
      if (input.type === "file") for (const file of input.files) body.append(input.name, file);
      else body.append(input.name, input.value);
    }
  } else if (kind) {
    body = form.querySelector("textarea").value;
    headers["content-type"] = kind;
  }
  shown.textContent = "…";
  const began = performance.now();
  try {
    // A leading slash would leave a prefix that a proxy has put before all.
    const url = new URL(`.${path}${query.size ? `?${query}` : ""}`, document.baseURI);
    const response = await fetch(url, { method: method.toUpperCase(), headers, body });
    const type = response.headers.get("content-type") || "";
    const heads = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const isText = /json|text|subrip/.test(type);
    let text = isText ? await response.text() : `${(await response.blob()).size} bytes of ${type || "nothing"}`;
    if (type.includes("json")) try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* as it is */ }
    shown.textContent = `${response.status} ${response.statusText}, ${Math.round(performance.now() - began)} ms\n${heads}\n\n${text}`;
  } catch (error) {
    shown.textContent = `no answer: ${error.message}`;
  }
};

const attempt = (path, method, parameters, body) => {
  const [kind, media] = Object.entries((body && body.content) || {})[0] || [];
  const fields = parameters.map(field);
  if (kind === "multipart/form-data") fields.push(...formFields(media.schema));
  const form = make("form", { className: "try" }, make("h3", { textContent: "Try it" }), make("div", { className: "fields" }, ...fields));
  if (kind && kind !== "multipart/form-data") {
    const text = make("textarea", { value: JSON.stringify(example(media.schema), null, 2), spellcheck: false });
    form.append(make("label", {}, kind, text));
  }
  const shown = make("pre", { className: "hidden" });
  form.append(make("button", { textContent: "Send" }), shown);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    shown.classList.remove("hidden");
    send(form, path, method, kind, shown);
  });
  return form;
};

const operation = (path, method, said, shared) => {
  const parameters = [...(shared || []), ...(said.parameters || [])].map(resolve);
  const own = parameters.filter((p) => !["X-Request-Id", "API-Version"].includes(p.name));
  const body = said.requestBody && resolve(said.requestBody);
  const details = make("details", { id: said.operationId },
    make("summary", {},
      make("span", { className: "method", textContent: method }),
      make("span", { className: "path", textContent: path }),
      make("span", { className: "gist", textContent: said.summary || "" })));
  details.dataset.words = `${method} ${path} ${said.summary || ""} ${said.description || ""}`.toLowerCase();
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const inside = make("div", { className: "inside" });
    if (said.description) inside.append(make("p", { className: "said", textContent: said.description }));
    if (own.length) {
      inside.append(make("h3", { textContent: "Parameters" }), table(["Name", "In", "Type", ""], own.map((p) => [
        code(p.name + (p.required ? "" : "?")), p.in, code(shape(p.schema, 3)), p.description || ""])));
    }
    if (body) inside.append(make("h3", { textContent: "Body" }), ...contents(body.content));
    inside.append(make("h3", { textContent: "Answers" }), answers(said.responses), attempt(path, method, own, body));
    details.append(inside);
  });
  return details;
};

const write = () => {
  document.title = `${api.info.title} API`;
  document.getElementById("about").textContent = api.info.description || "";
  const groups = new Map((api.tags || []).map((tag) => [tag.name, { said: tag.description, list: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, { list: [] });
      groups.get(tag).list.push(operation(path, method, item[method], item.parameters));
    }
  }
  const routes = document.getElementById("routes");
  routes.replaceChildren();
  for (const [tag, { said, list }] of [...groups].sort()) {
    document.getElementById("tags").append(make("a", { href: `#tag-${tag}`, textContent: tag }));
    routes.append(make("section", { id: `tag-${tag}` }, make("h2", { textContent: tag }),
      said ? make("p", { className: "said", textContent: said }) : null, ...list));
  }
  for (const other of api["x-lectern-routes"] || []) {
    routes.append(make("section", {}, make("h2", { textContent: other.component }),
      make("p", { textContent: `${other.reason}: ${other.routes.join(", ")}` })));
  }
  const named = document.getElementById(location.hash.slice(1));
  if (named) { if (named.tagName === "DETAILS") named.open = true; named.scrollIntoView(); }
};

document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const section of document.querySelectorAll("section")) {
    const all = [...section.querySelectorAll("details")];
    for (const one of all) one.classList.toggle("hidden", !words.every((word) => one.dataset.words.includes(word)));
    section.classList.toggle("hidden", all.length > 0 && all.every((one) => one.classList.contains("hidden")));
  }
});

fetch("openapi.json").then((response) => response.json()).then((read) => { api = read; write(); }).catch((error) => {
  document.getElementById("routes").replaceChildren(make("p", { textContent: `openapi.json cannot be read: ${error.message}` }));
});
