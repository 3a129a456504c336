// What stands where a page broke or is missing; the frame around it keeps working.
import { Button, Typography } from "antd";
import type { ReactNode } from "react";
import { Link, useRouteError } from "react-router";
import { words } from "./words";

export function BrokenPage() {
  const t = words.use();
  const error = useRouteError();
  const message = error instanceof Error ? error.message : String(error);
  // After an update of the platform the files of the old console are gone.
  const outdated = /dynamically imported module|module script/i.test(message);
  return (
    <Instead title={outdated ? t("error.newer") : t("error.title")}>
      {!outdated && <p className="quiet">{message}</p>}
      <Button type="primary" onClick={() => location.reload()}>
        {t("error.again")}
      </Button>
    </Instead>
  );
}

export function MissingPage() {
  const t = words.use();
  return (
    <Instead title={t("error.missing")}>
      <Link to="/">{t("error.home")}</Link>
    </Instead>
  );
}

function Instead({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="card instead">
      <Typography.Title level={1} className="page-title">
        {title}
      </Typography.Title>
      {children}
    </section>
  );
}
