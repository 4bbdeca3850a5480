// The page at /docs: reads /openapi.json and shows its operations, with a form to try each.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);
let spec;

/** An element. All that comes from the description goes in as text. */
function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Prose, in which what stands between backticks is code. */
const prose = (text) => el("span", {}, ...(text ?? "").split("`").map((part, index) => index % 2 ? el("code", {}, part) : part));

/** What a reference within the description stands for. */
function resolve(value) {
  for (let hops = 0; value?.$ref && hops < 20; hops++) {
    value = value.$ref.slice(2).split("/")
      .reduce((found, step) => found?.[step.replace(/~1/g, "/").replace(/~0/g, "~")], spec);
  }
  return value ?? {};
}

/** Schemas that all hold, as one. */
function joined(schemas) {
  const parts = schemas.map(bare);
  return {
    type: "object",
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
    required: parts.flatMap((part) => part.required ?? []),
  };
}

/** A schema in one piece, without the wrapping that says it may be null. */
function bare(schema) {
  schema = resolve(schema);
  if (schema.allOf) return { ...schema, ...joined(schema.allOf) };
  const kinds = schema.oneOf ?? schema.anyOf;
  const others = kinds?.filter((kind) => kind.type !== "null");
  if (others?.length !== 1) return schema;
  const own = Object.entries(schema).filter(([key]) => ["description", "default", "example"].includes(key));
  return { ...bare(others[0]), ...Object.fromEntries(own) };
}

const types = (schema) => [bare(schema).type ?? []].flat().filter((type) => type !== "null");
const isFile = (schema) => bare(schema).format === "binary";

/** A type in a few words: `array of string`, `integer, 0 to 9`. */
function words(schema, depth = 0) {
  const name = schema?.$ref?.split("/").pop();
  schema = bare(schema);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const kinds = schema.oneOf ?? schema.anyOf;
  if (kinds && depth < 3) return kinds.map((kind) => words(kind, depth + 1)).join(" or ");
  let text = isFile(schema) ? "file" : types(schema).join(" or ") || name || "anything";
  if (schema.items && depth < 3) text = `array of ${words(schema.items, depth + 1)}`;
  if (schema.minimum !== undefined && schema.maximum !== undefined) text += `, ${schema.minimum} to ${schema.maximum}`;
  else if (schema.minimum !== undefined) text += `, ${schema.minimum} or more`;
  if (schema.maxLength !== undefined) text += `, at most ${schema.maxLength} characters`;
  if (schema.default !== undefined && schema.default !== null) text += `, ${JSON.stringify(schema.default)} by default`;
  return text;
}

/** A value of a schema to begin with. */
function sample(schema, depth = 0) {
  schema = bare(schema);
  for (const given of [schema.example, schema.examples?.[0], schema.default, schema.enum?.[0]]) {
    if (given !== undefined) return given;
  }
  if (depth > 4) return null;
  if (schema.properties) {
    const needed = Object.keys(schema.properties)
      .filter((name) => schema.required?.includes(name) || bare(schema.properties[name]).example !== undefined);
    return Object.fromEntries(needed.map((name) => [name, sample(schema.properties[name], depth + 1)]));
  }
  const [type] = types(schema);
  return { array: [], object: {}, integer: schema.minimum ?? 0, number: schema.minimum ?? 0, boolean: false, string: "" }[type] ?? null;
}

/** The schemas with names that a schema is, or may be, or holds. */
function named(schema) {
  if (schema?.$ref) return [schema.$ref.split("/").pop()];
  return [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? []), ...(schema?.items ? [schema.items] : [])].flatMap(named);
}

const link = (name) => el("a", { href: `#schema-${name}` }, name);

/** Where the schemas of a property are found. */
const reference = (schema) => el("span", {}, ...named(schema).flatMap((name) => [" ", link(name)]));

/** What a body is. */
const kind = (schema) => schema?.$ref ? link(schema.$ref.split("/").pop()) : words(schema);

/** A table of an object's properties; several where it is one of several objects. */
function properties(schema) {
  schema = bare(schema);
  const kinds = (schema.oneOf ?? schema.anyOf ?? []).filter((kind) => bare(kind).properties);
  if (kinds.length) {
    return el("div", {}, ...kinds.map((kind) => {
      const { description, properties: inner } = bare(kind);
      const tag = Object.values(inner).map((property) => property.enum).find((values) => values?.length === 1);
      const name = kind.$ref?.split("/").pop() ?? tag?.[0] ?? "or";
      return el("div", {}, el("h3", {}, name), el("p", {}, prose(description)), properties(kind));
    }));
  }
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => el("tr", {},
    el("td", { className: schema.required?.includes(name) ? "needed" : "" }, name),
    el("td", {}, el("div", { className: "type" }, words(property), reference(property)),
      prose(property.description ?? bare(property).description))));
  if (rows.length) return el("table", {}, ...rows);
  return el("p", { className: "type" }, words(schema));
}

/** A field of a form for a schema. */
function field(schema) {
  const inner = bare(schema);
  if (isFile(schema)) return el("input", { type: "file" });
  const choices = inner.enum ?? (types(schema)[0] === "boolean" ? [true, false] : null);
  if (choices) return el("select", {}, el("option", { value: "" }, ""), ...choices.map((value) => el("option", { value: String(value) }, String(value))));
  const given = inner.example ?? "";
  return el("input", { type: "text", value: typeof given === "object" ? JSON.stringify(given) : String(given) });
}

/** One line of a form: its name and its field. */
const line = (name, needed, input) => el("tr", {}, el("td", { className: needed ? "needed" : "" }, name), el("td", {}, input));

/** Shows an answer: its head, then sound, text or a link to the bytes. */
async function show(out, response, started) {
  const blob = await response.blob();
  const took = Math.round(performance.now() - started);
  const type = response.headers.get("content-type") ?? "";
  const head = [...response.headers].filter(([name]) => /^(x-|content-type|retry-after)/.test(name));
  out.replaceChildren(
    el("p", {}, `${response.status} ${response.statusText}, ${blob.size} bytes in ${took} ms`),
    el("pre", {}, head.map(([name, value]) => `${name}: ${value}`).join("\n")));
  const magic = new TextDecoder("latin1").decode(await blob.slice(0, 4).arrayBuffer());
  if (type.startsWith("audio/") || ["RIFF", "OggS", "fLaC"].includes(magic)) {
    const url = URL.createObjectURL(new Blob([blob], { type: magic === "RIFF" ? "audio/wav" : type }));
    out.append(el("audio", { controls: true, src: url }));
  } else if (/json|text/.test(type)) {
    let text = await blob.text();
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* Not JSON: shown as it is. */ }
    out.append(el("pre", {}, text.slice(0, 100000)));
  } else {
    out.append(el("a", { href: URL.createObjectURL(blob), download: "answer.bin" }, "Save the answer"));
  }
}

/** The form that sends an operation's request. */
function attempt(method, path, operation) {
  const parameters = (operation.parameters ?? []).map(resolve);
  const inputs = parameters.map((parameter) => ({ parameter, input: field(parameter.schema) }));
  const contents = Object.entries(resolve(operation.requestBody).content ?? {});
  const [type, content] = contents.find(([name]) => name === "application/json") ?? contents[0] ?? [];
  const form = type && type !== "application/json" ? bare(content.schema) : null;
  const fields = Object.entries(form?.properties ?? {}).map(([name, schema]) => ({ name, input: field(schema) }));
  const json = type === "application/json"
    ? el("textarea", { rows: 8, value: JSON.stringify(content.example ?? sample(content.schema), null, 2) }) : null;
  const out = el("div", {});
  const button = el("button", { type: "button" }, "Send");
  button.onclick = async () => {
    button.disabled = true;
    try {
      const headers = {};
      const query = new URLSearchParams();
      let target = path;
      for (const { parameter, input } of inputs) {
        if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
        else if (input.value !== "" && parameter.in === "query") query.set(parameter.name, input.value);
        else if (input.value !== "" && parameter.in === "header") headers[parameter.name] = input.value;
      }
      if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
      let body;
      if (json) {
        body = json.value;
        headers["Content-Type"] = type;
      } else if (form) {
        body = type === "multipart/form-data" ? new FormData() : new URLSearchParams();
        for (const { name, input } of fields) {
          const value = input.files ? input.files[0] : input.value;
          if (value) body.append(name, value);
        }
      }
      const started = performance.now();
      const search = query.size ? `?${query}` : "";
      await show(out, await fetch(target + search, { method: method.toUpperCase(), headers, body }), started);
    } catch (error) {
      out.replaceChildren(el("p", {}, `No answer: ${error.message}`));
    }
    button.disabled = false;
  };
  const lines = [
    ...inputs.map(({ parameter, input }) => line(parameter.name, parameter.required, input)),
    ...fields.map(({ name, input }) => line(name, form.required?.includes(name), input)),
  ];
  return el("div", {}, el("h3", {}, "Try it"), lines.length ? el("table", {}, ...lines) : null, json,
    el("p", {}, button), out);
}

/** One operation. Its inside is made when it is opened first. */
function operationOf(method, path, operation) {
  const socket = operation.responses?.["101"] !== undefined;
  const inside = el("div", {});
  const details = el("details", { className: "operation", id: operation.operationId },
    el("summary", {}, el("span", { className: "method" }, socket ? "WebSocket" : method.toUpperCase()),
      el("span", { className: "path" }, path), el("span", { className: "what" }, prose(operation.summary))), inside);
  details.ontoggle = () => {
    if (!details.open || inside.childNodes.length) return;
    for (const text of (operation.description ?? "").split("\n\n").filter(Boolean)) inside.append(el("p", {}, prose(text)));
    const parameters = (operation.parameters ?? []).map(resolve);
    if (parameters.length) {
      inside.append(el("h3", {}, "Parameters"), el("table", {}, ...parameters.map((parameter) => el("tr", {},
        el("td", { className: parameter.required ? "needed" : "" }, parameter.name),
        el("td", {}, el("div", { className: "type" }, `${parameter.in}, ${words(parameter.schema)}`), prose(parameter.description))))));
    }
    for (const [type, content] of Object.entries(resolve(operation.requestBody).content ?? {})) {
      inside.append(el("h3", {}, `Request, ${type}`), properties(content.schema));
    }
    inside.append(el("h3", {}, "Answers"), el("table", {}, ...Object.entries(operation.responses ?? {}).map(([status, response]) => {
      const contents = Object.entries(resolve(response).content ?? {});
      const headers = Object.entries(resolve(response).headers ?? {});
      return el("tr", {}, el("td", {}, status), el("td", {}, prose(resolve(response).description),
        ...contents.map(([media, content]) => el("div", { className: "type" }, `${media}: `, kind(content.schema))),
        ...headers.map(([name, header]) => el("div", { className: "type" }, `${name}: ${words(header.schema)}`,
          header.description ? el("span", {}, " (", prose(header.description), ")") : ""))));
    })));
    if (!socket) inside.append(attempt(method, path, operation));
  };
  return details;
}

function render() {
  at("version").textContent = spec.info.version;
  at("about").textContent = spec.info.description ?? "";
  const groups = new Map((spec.tags ?? []).map((tag) => [tag.name, { tag, operations: [] }]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const name = item[method].tags?.[0] ?? "others";
      if (!groups.has(name)) groups.set(name, { tag: { name }, operations: [] });
      groups.get(name).operations.push(operationOf(method, path, item[method]));
    }
  }
  const main = at("main");
  main.replaceChildren();
  for (const { tag, operations } of groups.values()) {
    if (operations.length) main.append(el("section", {}, el("h2", {}, tag.name), el("p", {}, tag.description ?? ""), ...operations));
  }
  const schemas = Object.entries(spec.components?.schemas ?? {});
  main.append(el("section", {}, el("h2", {}, "schemas"), ...schemas.map(([name, schema]) => el("details", { className: "operation", id: `schema-${name}` },
    el("summary", {}, el("span", { className: "path" }, name)),
    el("div", {}, el("p", {}, prose(schema.description)), properties(schema))))));
}

/** Opens what the address names. */
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.hidden = false;
  target.open = true;
  target.scrollIntoView();
}

window.onhashchange = reveal;

at("filter").oninput = () => {
  const wanted = at("filter").value.toLowerCase();
  for (const details of document.querySelectorAll("details.operation")) {
    details.hidden = !details.querySelector("summary").textContent.toLowerCase().includes(wanted);
  }
};

fetch("/openapi.json")
  .then((response) => response.json())
  .then((document) => { spec = document; render(); reveal(); })
  .catch((error) => { at("main").textContent = `The description cannot be read: ${error.message}`; });
