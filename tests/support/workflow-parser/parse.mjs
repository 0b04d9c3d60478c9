// Parses workflows and actions as GitHub does, with the package in the folder that the first word names. Reads
// [{name, kind, content}] from standard input, writes {name: [error, ...]} to standard output.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { pathToFileURL } from "node:url";

// The package imports JSON without the attribute that Node.js wants; GitHub bundles it instead.
const hooks = `
import { readFileSync } from "node:fs";
export async function load(url, context, next) {
  if (!url.endsWith(".json")) return next(url, context);
  return { format: "module", shortCircuit: true, source: "export default " + readFileSync(new URL(url), "utf8") };
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

const folder = `${process.argv[2]}/node_modules/@actions/workflow-parser/dist`;
const load = (path) => import(pathToFileURL(`${folder}/${path}`));
const { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } = await load("index.js");
const { parseAction } = await load("actions/action-parser.js");

async function errors({ name, kind, content }) {
  const parse = kind === "action" ? parseAction : parseWorkflow;
  const { context, value } = parse({ name, content }, new NoOperationTraceWriter());
  if (kind === "workflow" && value) await convertWorkflowTemplate(context, value);
  return context.errors.getErrors().map((error) => error.message);
}

const found = {};
for (const file of JSON.parse(readFileSync(0, "utf8"))) found[file.name] = await errors(file);
process.stdout.write(JSON.stringify(found));
