// Keeps what was typed from being left unasked: on a link, on going back, on a reload.
import { App } from "antd";
import { useEffect, useRef } from "react";
import { useBlocker, useNavigate } from "react-router";
import { words } from "./words";

/** While `dirty`, leaving is asked about; what is returned goes away unasked, once all is stored. */
export function useUnsaved(dirty: boolean): (to: string) => void {
  const t = words.use();
  const { modal } = App.useApp();
  const navigate = useNavigate();
  const stored = useRef(false);
  // Another tab or filter of the same page keeps the form.
  const blocker = useBlocker(({ currentLocation, nextLocation }) => dirty && !stored.current && currentLocation.pathname !== nextLocation.pathname);
  useEffect(() => {
    if (blocker.state !== "blocked") return;
    const asked = modal.confirm({ title: t("unsaved"), okText: t("leave"), cancelText: t("stay"), onOk: () => blocker.proceed(), onCancel: () => blocker.reset() });
    return () => asked.destroy();
  }, [blocker, modal, t]);
  useEffect(() => {
    if (!dirty) return;
    const ask = (event: BeforeUnloadEvent) => {
      if (!stored.current) event.preventDefault();
    };
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [dirty]);
  return (to) => {
    stored.current = true;
    void navigate(to);
  };
}
