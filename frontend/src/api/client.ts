// Sets the generated client up: same origin, session cookie, CSRF token, chosen project, one error.
import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { client } from "./generated/client.gen";
import { Refusal, refusalOf } from "./refusal";

const PROJECT = "slipway.project";

/** The project of this tab; a new tab begins with the one that was chosen last in any. */
export const chosenProject = () => sessionStorage.getItem(PROJECT) ?? localStorage.getItem(PROJECT);
/** Holds this tab to the project it shows, whatever others choose. */
export const stayWith = (id: string) => sessionStorage.setItem(PROJECT, id);
export const chooseProject = (id: string) => {
  stayWith(id);
  localStorage.setItem(PROJECT, id);
};
export const forgetProject = () => {
  sessionStorage.removeItem(PROJECT);
  localStorage.removeItem(PROJECT);
};
/** Nothing that one person chose, or typed and did not send, is there for the next. */
export const forgetPerson = () => {
  forgetProject();
  sessionStorage.clear();
};

function cookie(name: string): string {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found === undefined ? "" : decodeURIComponent(found.slice(name.length + 1));
}

// Over TLS its name binds it to this host.
const csrf = () => cookie("__Host-csrf") || cookie("csrftoken");

/** Whether this browser may be signed in: the CSRF cookie comes with a session and stays beside it. */
export const maybeSignedIn = () => csrf() !== "";
export const forgetSession = () => {
  forgetPerson();
  document.cookie = "csrftoken=; Max-Age=0; Path=/; SameSite=Lax";
  document.cookie = "__Host-csrf=; Max-Age=0; Path=/; SameSite=Lax; Secure";
};

/** What every request of the signed-in person carries; for requests the generated client does not send. */
export function ownHeaders(method: string): Record<string, string> {
  const project = chosenProject();
  return {
    ...(project === null ? {} : { "x-slipway-project": project }),
    ...(method === "GET" ? {} : { "x-csrftoken": csrf() }),
  };
}

/** Sends a request; one that the platform wants shown again who is there for is sent once more when they did. */
async function send(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const again = request.clone();
  const response = await fetch(request);
  if (response.status !== 403) return response;
  const told = (await response.clone().json().catch(() => ({}))) as { error?: { code?: string } };
  if (told.error?.code !== "proof_required" || !(await listeners.prove())) return response;
  // A passkey begins the session anew, with another token.
  for (const [name, value] of Object.entries(ownHeaders(again.method))) again.headers.set(name, value);
  return fetch(again);
}

client.setConfig({ baseUrl: "", credentials: "same-origin", fetch: send });
client.interceptors.request.use((request) => {
  for (const [name, value] of Object.entries(ownHeaders(request.method))) request.headers.set(name, value);
  return request;
});
client.interceptors.error.use((error, response) => refusalOf(error, response));

/** Who is told of what happens outside any page; the shell puts itself here. */
export const listeners: { sessionEnded: () => void; refused: (refusal: Refusal) => void; prove: () => Promise<boolean> } = {
  sessionEnded: () => undefined,
  refused: () => undefined,
  /** Asks the person to show again who is there; false if they would not. */
  prove: () => Promise.resolve(false),
};

const unauthorized = (error: unknown) => error instanceof Refusal && error.status === 401;

export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      if (unauthorized(error)) listeners.sessionEnded();
    },
  }),
  // A change tells of its own refusal, and what is on the screen is read anew after it.
  mutationCache: new MutationCache({
    onError: (error, _given, _result, mutation) => {
      // A wrong password is no session that ended.
      if (unauthorized(error) && mutation.meta?.signIn !== true) listeners.sessionEnded();
      else if (mutation.meta?.quiet !== true) listeners.refused(refusalOf(error));
    },
    onSuccess: async (_answer, _given, _result, mutation): Promise<void> => {
      // After signing out there is nobody to read anything for.
      if (mutation.meta?.last !== true) await queries.invalidateQueries();
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // What was refused stays refused; what did not answer is asked again. What finds the session ended waits for
      // the next one, so that no page is torn down under what was typed.
      retry: (times, error) => {
        if (unauthorized(error)) listeners.sessionEnded();
        return unauthorized(error) || (times < 2 && (!(error instanceof Refusal) || error.status === 0 || error.status >= 502));
      },
      retryDelay: (times, error) => (unauthorized(error) ? 3_000 : 1_000 * 2 ** times),
    },
  },
});
