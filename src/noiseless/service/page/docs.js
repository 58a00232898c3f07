// The description of the API, made of the service's own schema.

import { startLook } from "./look.js";

function make(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

// A paragraph in which what stands between backticks is code.
function prose(text = "") {
  const parts = text.split("`").map((part, number) => (number % 2 ? make("code", part) : part));
  return make("p", "", ...parts);
}

const table = (rows) => make("table", "", make("tbody", "", ...rows.map((row) => make("tr", "", ...row))));
const cells = (name, text) => [make("td", "", make("code", name)), make("td", text)];

function typeOf(schema = {}) {
  const options = schema.anyOf?.map(typeOf).filter((type) => type !== "null").join(" or ");
  const type = options ?? schema.enum?.join(" | ") ?? [schema.type].flat().filter((each) => each !== "null").join(" or ");
  return schema.format === "binary" ? "file" : type;
}

function fieldRows(schema) {
  return Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const parts = [typeOf(field), "default" in field ? `default ${field.default}` : "", field.description ?? ""];
    return cells(name, parts.filter(Boolean).join("; "));
  });
}

function route(path, method, operation) {
  const summary = make("summary", "");
  const kind = make("code", method.toUpperCase());
  kind.className = "method";
  const title = make("span", operation.summary);
  title.className = "muted";
  summary.append(kind, make("code", path), title);
  const inside = make("div", "");
  inside.className = "inside";
  inside.append(prose(operation.description));
  const form = operation.requestBody?.content?.["multipart/form-data"]?.schema;
  if (form) inside.append(table(fieldRows(form)));
  if (operation.parameters?.length) {
    inside.append(table(operation.parameters.map((each) => cells(each.name, [typeOf(each.schema), each.description].filter(Boolean).join("; ")))));
  }
  inside.append(table(Object.entries(operation.responses).map(([status, answer]) => cells(status, answer.description.replaceAll("`", "")))));
  const details = make("details", "", summary, inside);
  details.className = "route";
  return details;
}

async function start() {
  startLook();
  for (const span of document.querySelectorAll(".origin")) span.textContent = location.origin;
  const schema = await (await fetch("/openapi.json")).json();
  const routes = Object.entries(schema.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => route(path, method, operation)),
  );
  document.getElementById("routes").replaceChildren(...routes);
}

start();
