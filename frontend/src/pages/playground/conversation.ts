// A conversation with several models at once: one list of questions, an answer of each model to each.
import { useEffect, useRef, useState } from "react";
import { ask, type Message, type Sampling, type Told } from "@/api/chat";
import { type Refusal, refusalOf } from "@/api/refusal";

export type Answer = { text: string; state: "coming" | "done" | "stopped" | "refused"; told?: Told; refusal?: Refusal };
export type Turn = { question: string; answers: Record<string, Answer> };
export type Setting = { models: string[]; system: string; sampling: Sampling };

/** What a model is sent for the last of these turns. */
export function messagesFor(model: string, system: string, turns: Turn[]): Message[] {
  const messages: Message[] = system.trim() === "" ? [] : [{ role: "system", content: system }];
  turns.forEach((turn, index) => {
    messages.push({ role: "user", content: turn.question });
    const answer = turn.answers[model];
    if (index < turns.length - 1 && answer !== undefined && answer.text !== "") messages.push({ role: "assistant", content: answer.text });
  });
  return messages;
}

export function useConversation() {
  const [turns, setTurns] = useState<Turn[]>([]);
  const stops = useRef(new Set<AbortController>());
  useEffect(() => {
    const running = stops.current;
    return () => running.forEach((each) => each.abort());
  }, []);

  const run = async (all: Turn[], model: string, { system, sampling }: Setting) => {
    const last = all.length - 1;
    const set = (answer: Answer) =>
      setTurns((now) => now.map((turn, index) => (index === last ? { ...turn, answers: { ...turn.answers, [model]: answer } } : turn)));
    const stop = new AbortController();
    stops.current.add(stop);
    let text = "";
    set({ text, state: "coming" });
    try {
      const told = await ask(
        { model, messages: messagesFor(model, system, all), ...sampling },
        (soFar) => {
          text = soFar;
          set({ text, state: "coming" });
        },
        stop.signal,
      );
      set({ text: told.text, state: "done", told });
    } catch (error) {
      if (stop.signal.aborted) set({ text, state: "stopped" });
      else set({ text, state: "refused", refusal: refusalOf(error) });
    } finally {
      stops.current.delete(stop);
    }
  };

  const start = (all: Turn[], models: string[], setting: Setting) => {
    setTurns(all);
    for (const model of models) void run(all, model, setting);
  };

  return {
    turns,
    busy: turns.some((turn) => Object.values(turn.answers).some((each) => each.state === "coming")),
    send: (question: string, setting: Setting) => start([...turns, { question, answers: {} }], setting.models, setting),
    /** Asks the last question again, of one model. */
    again: (model: string, setting: Setting) => start(turns, [model], setting),
    stop: () => stops.current.forEach((each) => each.abort()),
    clear: () => {
      stops.current.forEach((each) => each.abort());
      setTurns([]);
    },
  };
}
