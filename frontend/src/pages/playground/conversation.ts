// A conversation with several models at once: one list of questions, an answer of each model to each.
import { useEffect, useRef, useState } from "react";
import { ask, type Message, type Sampling, type Told } from "@/api/chat";
import { chosenProject } from "@/api/client";
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

/** Of the project alone whose models were asked. */
const place = () => `slipway.talk.${chosenProject() ?? ""}`;

/** Turns as they are kept: what was on its way, or refused, is told to have been stopped. */
export function settled(turns: Turn[]): Turn[] {
  return turns.map(({ question, answers }) => ({
    question,
    answers: Object.fromEntries(
      Object.entries(answers).map(([model, { text, state, told }]) => [model, state === "done" && told !== undefined ? { text, state, told } : { text, state: "stopped" as const }]),
    ),
  }));
}

function kept(): Turn[] {
  try {
    return JSON.parse(sessionStorage.getItem(place()) ?? "[]") as Turn[];
  } catch {
    return [];
  }
}

function keep(turns: Turn[]): void {
  try {
    sessionStorage.setItem(place(), JSON.stringify(settled(turns)));
  } catch {
    // Full: it is still here, only leaving would lose it.
  }
}

/** The conversation of this tab: it is there again after a look elsewhere or a reload. */
export function useConversation() {
  const [turns, setTurns] = useState<Turn[]>(kept);
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

  const busy = turns.some((turn) => Object.values(turn.answers).some((each) => each.state === "coming"));
  const asked = turns.length;
  useEffect(() => {
    // With the question, and with the whole answers; not at every word of them.
    keep(turns);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- see above
  }, [asked, busy]);

  return {
    turns,
    busy,
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
