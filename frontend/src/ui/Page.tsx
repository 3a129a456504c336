// The head of a page: its title (also the tab's), a line that says what it is for, its actions.
import { Breadcrumb, Space, Typography } from "antd";
import { type ReactNode, useEffect } from "react";
import { Link } from "react-router";

type Props = {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  /** Pages above this one, outermost first. */
  above?: { to: string; title: string }[];
  children: ReactNode;
};

export function Page({ title, lead, actions, above, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Slipway`;
  }, [title]);
  return (
    <>
      {above !== undefined && (
        <Breadcrumb items={[...above.map((each) => ({ title: <Link to={each.to}>{each.title}</Link> })), { title }]} />
      )}
      <div className="page-head">
        <Typography.Title level={1} className="page-title">
          {title}
        </Typography.Title>
        {actions !== undefined && (
          <Space wrap className="page-extra">
            {actions}
          </Space>
        )}
        {lead !== undefined && <div className="page-lead">{lead}</div>}
      </div>
      <div className="page-body">{children}</div>
    </>
  );
}
