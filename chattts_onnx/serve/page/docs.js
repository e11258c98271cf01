// The OpenAPI description for people, made here so that no page needs a network.
const make = (name, text = "", ...children) => {
  const made = document.createElement(name);
  made.append(text, ...children);
  return made;
};

const description = await (await fetch("openapi.json")).json();

function resolve(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? description.components.schemas[name] : schema ?? {};
}

/** A schema in a few words. */
function kind(schema) {
  const found = resolve(schema);
  const some = found.anyOf?.filter((each) => each.type !== "null");
  if (some) return some.map(kind).join(" or ");
  const values = found.enum ?? (found.const !== undefined ? [found.const] : null);
  const [least, most] = [found.minimum ?? found.exclusiveMinimum, found.maximum ?? found.exclusiveMaximum];
  const bounds = least === undefined && most === undefined ? "" : ` ${least ?? ""}–${most ?? ""}`;
  return values ? values.join(", ") : `${found.type ?? "anything"}${bounds}`;
}

function table(rows) {
  const lines = rows.map(([name, schema, needed, about]) => make("tr", "",
    make("td", "", make("code", name), needed ? " (needed)" : ""),
    make("td", kind(schema)),
    make("td", about ?? resolve(schema).description ?? ""),
    make("td", schema.default == null ? "" : String(schema.default))));
  const head = make("tr", "", ...["field", "value", "meaning", "default"].map((each) => make("th", each)));
  return make("table", "", head, ...lines);
}

function fields(body) {
  const [type, content] = Object.entries(body.content)[0];
  const schema = resolve(content.schema);
  const rows = Object.entries(schema.properties ?? {})
    .map(([name, each]) => [name, each, schema.required?.includes(name)]);
  const parts = [make("h4", `Body: ${type}`), table(rows)];
  for (const example of schema.examples ?? []) parts.push(make("pre", JSON.stringify(example, null, 1)));
  return parts;
}

function route(method, path, operation) {
  const parts = [make("p", operation.description ?? "")];
  const asked = operation.parameters ?? [];
  if (asked.length) {
    parts.push(make("h4", "Parameters"), table(asked.map((p) => [p.name, p.schema, p.required, p.description])));
  }
  if (operation.requestBody) parts.push(...fields(operation.requestBody));
  const answers = Object.entries(operation.responses).map(([status, { description: about, content }]) =>
    make("li", `${status}: ${about ?? ""} `, make("small", Object.keys(content ?? {}).join(", "))));
  parts.push(make("h4", "Answers"), make("ul", "", ...answers));
  const title = make("summary", "", make("code", `${method.toUpperCase()} ${path}`), ` ${operation.summary ?? ""}`);
  return make("details", "", title, ...parts);
}

document.getElementById("title").textContent = `${description.info.title} ${description.info.version}`;
document.getElementById("about").textContent = description.info.description ?? "";
const routes = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => route(method, path, operation)));
document.getElementById("routes").replaceChildren(...routes);
