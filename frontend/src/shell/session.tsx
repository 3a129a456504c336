// Who is signed in: asked once, kept for all pages; a session that ends is renewed over the page.
import { useMutation, useQuery } from "@tanstack/react-query";
import { App as Antd, Modal, Spin } from "antd";
import { createContext, lazy, type ReactNode, Suspense, useContext, useEffect, useState } from "react";
import { listen } from "@/api/changes";
import { chooseProject, forgetPerson, forgetProject, forgetSession, listeners, maybeSignedIn, queries, stayWith } from "@/api/client";
import { meRetrieve, sessionCreate, sessionDestroy } from "@/api/generated/sdk.gen";
import type { MeOut, SignInIn } from "@/api/generated/types.gen";
import { reading } from "@/api/reading";
import { refusalOf } from "@/api/refusal";
import { Refused, RefusedText, refusedTitle } from "@/ui/Refused";
import { words as uiWords } from "@/ui/words";
import { Proof } from "./Proof";
import { SignIn } from "./SignIn";
import { words } from "./words";

// Needed by few and once: its QR code is no part of the first load.
const SecondFactor = lazy(() => import("./SecondFactor").then((found) => ({ default: found.SecondFactor })));

type Session = MeOut & { switchTo: (projectId: string) => void; signOut: () => void };
const ME = reading("meRetrieve", {}, (signal) => meRetrieve({ signal, throwOnError: true }));
const otherTabs = new BroadcastChannel("slipway.session");
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
  const [proving, setProving] = useState<(shown: boolean) => void>();
  const me = useQuery({ ...ME, retry: false, staleTime: 60_000, refetchOnWindowFocus: false, enabled: maybeSignedIn() });
  const [person, setPerson] = useState<string>();
  if (me.data !== undefined && person === undefined) setPerson(me.data.user);
  // Somebody else signed in, over the page or in another tab: what the first one saw and typed is not for them.
  const another = me.data !== undefined && person !== undefined && me.data.user !== person;
  useEffect(() => {
    if (!another) return;
    forgetPerson();
    location.assign("/");
  }, [another]);
  const signIn = useMutation({
    mutationFn: async (body: SignInIn) => (await sessionCreate({ body, throwOnError: true })).data,
    meta: { quiet: true, signIn: true },
    onSuccess: (given) => {
      setEnded(false);
      queries.setQueryData(ME.queryKey, given);
    },
  });
  const signOut = useMutation({
    mutationFn: () => sessionDestroy({ throwOnError: true }),
    meta: { last: true },
    onSuccess: () => {
      forgetSession();
      // Nothing that one person saw may be there for the next.
      queries.clear();
      otherTabs.postMessage("out");
      location.assign("/");
    },
  });
  useEffect(() => {
    // Whoever signs out of one tab has left all of them.
    otherTabs.onmessage = () => {
      forgetPerson();
      location.assign("/");
    };
  }, []);
  const project = me.data?.project.id;
  useEffect(() => {
    if (project !== undefined && !another) stayWith(project);
  }, [project, another]);
  useEffect(() => {
    listeners.sessionEnded = () => setEnded(true);
    listeners.prove = () => new Promise((resolve) => setProving(() => resolve));
    listeners.refused = (refusal) => {
      // They were asked, and closed the dialog.
      if (refusal.code === "proof_required") return;
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

  const entered = async () => {
    await me.refetch();
    setEnded(false);
  };
  const refusal = signIn.error === null ? null : refusalOf(signIn.error);
  const form = (
    <SignIn busy={signIn.isPending} refusal={refusal} onSubmit={(body) => signIn.mutate(body)} onEntered={() => void entered()} />
  );
  const setUp = (
    <Suspense fallback={<Spin fullscreen />}>
      <SecondFactor
        onDone={() => {
          signIn.reset();
          void entered();
        }}
      />
    </Suspense>
  );
  if (another) return <Spin fullscreen />;
  if (me.data === undefined) {
    if (refusal?.code === "second_factor_required") return setUp;
    if (me.fetchStatus === "idle" && me.error === null) return form;
    if (me.error === null) return <Spin fullscreen />;
    const told = refusalOf(me.error);
    if (told.status === 401) return form;
    if (told.code === "second_factor_required") return setUp;
    // Removed from the project that was chosen here last: the next try asks for another one.
    if (told.status === 403) forgetProject();
    return <Refused refusal={told} onRetry={() => void me.refetch()} />;
  }
  const session: Session = {
    ...me.data,
    switchTo: (projectId) => {
      chooseProject(projectId);
      location.assign("/");
    },
    signOut: () => signOut.mutate(),
  };
  return (
    <Current value={session}>
      {children}
      <Modal open={ended} zIndex={3000} footer={null} closable={false} title={t("signin.again")} destroyOnHidden>
        {form}
      </Modal>
      <Proof
        open={proving !== undefined}
        onClose={(shown) => {
          proving?.(shown);
          setProving(undefined);
        }}
      />
    </Current>
  );
}
