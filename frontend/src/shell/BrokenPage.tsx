// What stands where a page broke or is missing; the frame around it keeps working.
import { Button, Result } from "antd";
import { Link, useRouteError } from "react-router";
import { words } from "./words";

export function BrokenPage() {
  const t = words.use();
  const error = useRouteError();
  const message = error instanceof Error ? error.message : String(error);
  // After an update of the platform the files of the old console are gone.
  const outdated = /dynamically imported module|module script/i.test(message);
  return (
    <Result
      status="error"
      title={outdated ? t("error.newer") : t("error.title")}
      subTitle={outdated ? undefined : message}
      extra={
        <Button type="primary" onClick={() => location.reload()}>
          {t("error.again")}
        </Button>
      }
    />
  );
}

export function MissingPage() {
  const t = words.use();
  return <Result status="404" title={t("error.missing")} extra={<Link to="/">{t("error.home")}</Link>} />;
}
