// Plays the scenarios of the Node package `openai`: one JSON line for each, as run.py does.
//
// `node run.mjs [WORDS]`, with OPENAI_BASE_URL and OPENAI_API_KEY; only scenarios whose name holds WORDS.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI, { toFile } from "openai";

const CHAT = "chart-base";
const ENCODER = "words";
const TEXT = "华北地区2019年3月的销售额,用柱状图表示。";
const HELLO = [{ role: "user", content: TEXT }];
const WEATHER = {
  type: "function",
  function: {
    name: "weather",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { enum: ["Paris", "Rome"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
const mark = Math.random().toString(36).slice(2, 10);
const client = new OpenAI({ maxRetries: 0 });

const chat = (more = {}) =>
  client.chat.completions.create({ model: CHAT, messages: HELLO, max_tokens: 64, temperature: 0, ...more });
const lines = (rows) => rows.map((row) => JSON.stringify(row) + "\n").join("");
const put = async (text, purpose) =>
  (await client.files.create({ file: await toFile(Buffer.from(text), `${mark}.jsonl`), purpose })).id;
const rows = (count) =>
  lines(
    Array.from({ length: count }, (_, n) => ({
      messages: [...HELLO, { role: "assistant", content: `${mark} ${n}` }],
    })),
  );

async function all(page) {
  const found = [];
  for await (const item of page) {
    found.push(item.id);
    assert(found.length < 1000, "the pages have no end");
  }
  assert.equal(new Set(found).size, found.length);
  return found;
}

async function until(what, look, seconds = 240) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `waited ${seconds} s in vain for ${what}`);
    await sleep(200);
  }
}

async function refused(kind, status, call, facts = {}) {
  const error = await call().then(
    () => assert.fail("not refused"),
    (caught) => caught,
  );
  assert(error instanceof kind, String(error));
  assert.equal(error.status, status);
  assert(error.requestID);
  for (const [name, value] of Object.entries(facts)) assert.equal(error[name], value);
}

const SCENARIOS = {
  "files are uploaded, checked, paged, read back and deleted": async () => {
    const name = await put(rows(3), "fine-tune");
    const file = await client.files.waitForProcessing(name, { pollInterval: 200 });
    assert.equal(file.status, "processed");
    assert((await all(client.files.list({ limit: 1 }))).includes(name));
    assert.equal(await (await client.files.content(name)).text(), rows(3));
    assert((await client.files.delete(name)).deleted);
    await refused(OpenAI.NotFoundError, 404, () => client.files.retrieve(name));
  },
  "a file comes in parts": async () => {
    const upload = await client.uploads.create({
      bytes: 10, filename: "p.txt", mime_type: "text/plain", purpose: "assistants",
    });
    const parts = [];
    for (const text of ["hello", "world"])
      parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from(text)) })).id);
    const done = await client.uploads.complete(upload.id, { part_ids: parts });
    assert.equal(await (await client.files.content(done.file.id)).text(), "helloworld");
  },
  "a chat is answered, with its request id and usage": async () => {
    const said = await chat();
    assert(said.choices[0].message.content);
    assert(said._request_id.startsWith("req_"));
    assert.equal(said.usage.total_tokens, said.usage.prompt_tokens + said.usage.completion_tokens);
    assert((await all(client.models.list())).includes(CHAT));
  },
  "a chat is streamed, by hand and by the package's helper": async () => {
    const whole = (await chat()).choices[0].message.content;
    let text = "";
    let usage = null;
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole);
    assert(usage.completion_tokens > 0);
    const stream = client.chat.completions.stream({
      model: CHAT, messages: HELLO, max_tokens: 64, temperature: 0,
    });
    assert.equal(await stream.finalContent(), whole);
  },
  "a stream that its reader leaves ends": async () => {
    const stream = await chat({ stream: true, temperature: 1, max_tokens: 400 });
    for await (const chunk of stream) {
      assert(chunk.id);
      break;
    }
    assert(stream.controller.signal.aborted);
  },
  "tools are called, run by the package's helper, and answered": async () => {
    const said = await chat({ tools: [WEATHER], tool_choice: "required", parallel_tool_calls: false });
    assert.equal(said.choices[0].finish_reason, "tool_calls");
    const [call] = said.choices[0].message.tool_calls;
    assert(["Paris", "Rome"].includes(JSON.parse(call.function.arguments).city));
    const asked = [];
    const runner = client.chat.completions.runTools({
      model: CHAT, messages: HELLO, max_tokens: 64, temperature: 0,
      tool_choice: { type: "function", function: { name: "weather" } },
      tools: [
        {
          type: "function",
          function: {
            ...WEATHER.function,
            parse: JSON.parse,
            function: ({ city }) => asked.push(city) && `sunny in ${city}`,
          },
        },
      ],
    });
    await runner.done();
    assert.equal(asked.length, 1);
  },
  "an answer keeps to a JSON schema": async () => {
    const schema = {
      type: "object",
      properties: { chart: { type: "boolean" }, kind: { enum: ["bar", "line"] } },
      required: ["chart", "kind"],
      additionalProperties: false,
    };
    const said = await client.chat.completions.parse({
      model: CHAT, messages: HELLO, max_tokens: 64, temperature: 0,
      response_format: { type: "json_schema", json_schema: { name: "chart", strict: true, schema } },
    });
    assert(["bar", "line"].includes(said.choices[0].message.parsed.kind));
  },
  "embeddings, which the package asks for as base64": async () => {
    const input = ["sales of the region", "a bar chart"];
    const packed = await client.embeddings.create({ model: ENCODER, input });
    const plain = await client.embeddings.create({ model: ENCODER, input, encoding_format: "float" });
    packed.data.forEach((one, n) =>
      one.embedding.forEach((value, k) => assert(Math.abs(value - plain.data[n].embedding[k]) < 1e-5)),
    );
  },
  "a model is tuned, followed, and called by its name": async () => {
    const jobs = client.fineTuning.jobs;
    const made = await jobs.create({
      model: CHAT, training_file: await put(rows(16), "fine-tune"), suffix: mark, seed: 7,
      method: { type: "supervised", supervised: { hyperparameters: { n_epochs: 1 } } },
    });
    const job = await until("the job", async () => {
      const found = await jobs.retrieve(made.id);
      assert.notEqual(found.status, "failed", JSON.stringify(found.error));
      return found.status === "succeeded" && found;
    });
    assert((await all(jobs.listEvents(job.id, { limit: 2 }))).length > 2);
    assert((await all(jobs.checkpoints.list(job.id))).length > 0);
    assert.equal((await chat({ model: job.fine_tuned_model })).model, job.fine_tuned_model);
    assert((await client.models.delete(job.fine_tuned_model)).deleted);
  },
  "a batch is answered": async () => {
    const url = "/v1/chat/completions";
    const body = { model: CHAT, messages: HELLO, max_tokens: 4 };
    const given = [0, 1, 2].map((n) => ({ custom_id: `r${n}`, method: "POST", url, body }));
    const made = await client.batches.create({
      input_file_id: await put(lines(given), "batch"), endpoint: url, completion_window: "24h",
    });
    const done = await until("the batch", async () => {
      const found = await client.batches.retrieve(made.id);
      return ["completed", "failed", "expired"].includes(found.status) && found;
    });
    assert.deepEqual(done.request_counts, { total: 3, completed: 3, failed: 0 });
    const answers = (await (await client.files.content(done.output_file_id)).text()).trim().split("\n");
    assert.deepEqual(new Set(answers.map((line) => JSON.parse(line).custom_id)), new Set(["r0", "r1", "r2"]));
  },
  "an eval judges a model's answers": async () => {
    const made = await client.evals.create({
      name: mark,
      data_source_config: {
        type: "custom", include_sample_schema: true,
        item_schema: { type: "object", properties: { question: { type: "string" } } },
      },
      testing_criteria: [
        { type: "string_check", name: "said", input: "{{sample.output_text}}", reference: "", operation: "ne" },
      ],
    });
    const run = await client.evals.runs.create(made.id, {
      data_source: {
        type: "completions", model: CHAT,
        source: { type: "file_content", content: [{ item: { question: TEXT } }] },
        input_messages: { type: "template", template: [{ role: "user", content: "{{item.question}}" }] },
        sampling_params: { max_completion_tokens: 8, temperature: 0 },
      },
    });
    const done = await until("the run", async () => {
      const found = await client.evals.runs.retrieve(run.id, { eval_id: made.id });
      return ["completed", "failed", "canceled"].includes(found.status) && found;
    });
    assert.deepEqual([done.status, done.result_counts.passed], ["completed", 1]);
    assert.equal((await all(client.evals.runs.outputItems.list(run.id, { eval_id: made.id }))).length, 1);
    assert((await client.evals.delete(made.id)).deleted);
  },
  "a response is made, streamed, gone on from, and deleted": async () => {
    const given = { model: CHAT, input: TEXT, max_output_tokens: 64, temperature: 0 };
    const said = await client.responses.create(given);
    assert(said.output_text);
    const stream = client.responses.stream(given);
    assert.equal((await stream.finalResponse()).output_text, said.output_text);
    const next = await client.responses.create({ ...given, previous_response_id: said.id });
    assert(next.usage.input_tokens > said.usage.input_tokens);
    await client.responses.delete(said.id);
    await refused(OpenAI.NotFoundError, 404, () => client.responses.retrieve(said.id));
  },
  "every class of error is the package's own": async () => {
    const model = { model: "no-such" };
    await refused(OpenAI.NotFoundError, 404, () => chat(model), { code: "model_not_found" });
    await refused(OpenAI.BadRequestError, 400, () => chat({ temperature: 3 }), { param: "temperature" });
    const strange = new OpenAI({ apiKey: "sk-slip-nobody", maxRetries: 0 });
    await refused(OpenAI.AuthenticationError, 401, () => strange.models.list(), { code: "invalid_api_key" });
    await refused(OpenAI.NotFoundError, 404, () => client.vectorStores.list(), { code: "unknown_url" });
  },
};

const told = (facts) => console.log(JSON.stringify(facts));
const here = new URL("node_modules/openai/package.json", import.meta.url);
told({ client: "openai-node", version: JSON.parse(readFileSync(here, "utf8")).version });
for (const [name, play] of Object.entries(SCENARIOS)) {
  if (!name.includes(process.argv[2] ?? "")) continue;
  const began = performance.now();
  const facts = { name, outcome: "passed" };
  try {
    await play();
  } catch (error) {
    Object.assign(facts, { outcome: "failed", why: String(error.stack ?? error).slice(0, 3000) });
  }
  told({ ...facts, seconds: (performance.now() - began) / 1000 });
}
