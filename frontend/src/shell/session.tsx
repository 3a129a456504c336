// Who is signed in: asked once, kept for all pages; a session that ends is renewed over the page.
import { useMutation, useQuery } from "@tanstack/react-query";
import { App as Antd, Modal, Spin } from "antd";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { listen } from "@/api/changes";
import { chooseProject, forgetSession, listeners, maybeSignedIn, PROJECT, queries } from "@/api/client";
import { meRetrieveOptions, sessionCreateMutation, sessionDestroyMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { MeOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { Refused, RefusedText, refusedTitle } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { SignIn } from "./SignIn";
import { words } from "./words";

type Session = MeOut & { switchTo: (projectId: string) => void; signOut: () => void };
const Current = createContext<Session | null>(null);

/** The signed-in person, their role and projects; only below `SessionGate`. */
export function useSession(): Session {
  const session = useContext(Current);
  if (session === null) throw new Error("useSession is used outside SessionGate");
  return session;
}

const ORDER = ["none", "read", "operate", "full"] as const;
export type Needs = [module: string, level: (typeof ORDER)[number]];

/** Whether the signed-in person's levels suffice; the platform asks again, this only hides what it would refuse. */
export function useMay(): (...needs: Needs) => boolean {
  const { levels } = useSession();
  return (module, level) => ORDER.indexOf(levels[module] ?? "none") >= ORDER.indexOf(level);
}

export function SessionGate({ children }: { children: ReactNode }) {
  const t = words.use();
  const tui = uiWords.use();
  const { notification } = Antd.useApp();
  const [ended, setEnded] = useState(false);
  const me = useQuery({ ...meRetrieveOptions(), retry: false, staleTime: 60_000, refetchOnWindowFocus: false, enabled: maybeSignedIn() });
  const signIn = useMutation({
    ...sessionCreateMutation(),
    meta: { quiet: true, signIn: true },
    onSuccess: (given) => {
      setEnded(false);
      queries.setQueryData(meRetrieveOptions().queryKey, given);
    },
  });
  const signOut = useMutation({
    ...sessionDestroyMutation(),
    meta: { last: true },
    onSuccess: () => {
      forgetSession();
      // Nothing that one person saw may be there for the next.
      queries.clear();
      location.assign("/");
    },
  });
  useEffect(() => {
    listeners.sessionEnded = () => setEnded(true);
    listeners.refused = (refusal) => {
      notification.error({
        key: refusal.requestId || refusal.message,
        title: refusedTitle(refusal, tui),
        description: <RefusedText refusal={refusal} />,
        duration: refusal.details.length > 0 ? 0 : 10,
      });
    };
  }, [notification, tui]);

  const here = me.data !== undefined && !ended;
  useEffect(() => (here ? listen() : undefined), [here]);

  const form = (
    <SignIn
      busy={signIn.isPending}
      refusal={signIn.error === null ? null : refusalOf(signIn.error)}
      onSubmit={(body) => signIn.mutate({ body })}
    />
  );
  if (me.data === undefined) {
    if (me.fetchStatus === "idle" && me.error === null) return form;
    if (me.error === null) return <Spin fullscreen />;
    const refusal = refusalOf(me.error);
    if (refusal.status === 401) return form;
    // Removed from the project that was chosen here last: the next try asks for another one.
    if (refusal.status === 403) localStorage.removeItem(PROJECT);
    return <Refused refusal={refusal} onRetry={() => void me.refetch()} />;
  }
  const session: Session = {
    ...me.data,
    switchTo: (projectId) => {
      chooseProject(projectId);
      location.assign("/");
    },
    signOut: () => signOut.mutate({}),
  };
  return (
    <Current value={session}>
      {children}
      <Modal open={ended} zIndex={3000} footer={null} closable={false} title={t("signin.again")} destroyOnHidden>
        {form}
      </Modal>
    </Current>
  );
}
