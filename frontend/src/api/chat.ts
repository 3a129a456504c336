// Asks a deployed model through the OpenAI-shaped door and hands its words on as they come.
import { chatKey, forgetChatKey } from "./chatKey";
import { refusalOf } from "./refusal";
import { payloads } from "./sse";

export type Message = { role: "system" | "user" | "assistant"; content: string };
export type Sampling = { temperature?: number; top_p?: number; max_tokens?: number; seed?: number };
export type Told = { text: string; finish: string; requestId: string; firstMs: number; totalMs: number; tokens: number | null };

type Chunk = {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number } | null;
  error?: { message?: string };
};

/** The whole answer; `onText` hears all there is so far. Refusal or AbortError where it ends otherwise. */
export async function ask(
  given: { model: string; messages: Message[] } & Sampling,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<Told> {
  const began = performance.now();
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    signal,
    headers: { authorization: `Bearer ${await chatKey()}`, "content-type": "application/json" },
    body: JSON.stringify({ ...given, stream: true, stream_options: { include_usage: true } }),
  });
  if (!response.ok || response.body === null) {
    if (response.status === 401) forgetChatKey();
    throw refusalOf(await response.json().catch(() => null), response);
  }
  const told: Told = { text: "", finish: "", requestId: response.headers.get("x-request-id") ?? "", firstMs: 0, totalMs: 0, tokens: null };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const read = payloads(buffer + value);
    buffer = read.rest;
    for (const payload of read.done) {
      if (payload === "[DONE]") continue;
      const chunk = JSON.parse(payload) as Chunk;
      if (chunk.error !== undefined) throw refusalOf(chunk, response);
      const choice = chunk.choices?.[0];
      const more = choice?.delta?.content ?? "";
      if (more !== "" && told.firstMs === 0) told.firstMs = performance.now() - began;
      told.text += more;
      told.finish = choice?.finish_reason ?? told.finish;
      told.tokens = chunk.usage?.completion_tokens ?? told.tokens;
    }
    onText(told.text);
  }
  told.totalMs = performance.now() - began;
  return told;
}
