// An empty list that teaches: what would stand here, and how to make the first one.
import { Empty } from "antd";
import type { ReactNode } from "react";

export function Blank({ title, text, action }: { title: string; text: string; action?: ReactNode }) {
  return (
    <Empty
      image={Empty.PRESENTED_IMAGE_SIMPLE}
      description={
        <>
          <strong>{title}</strong>
          <div className="blank-text">{text}</div>
        </>
      }
    >
      {action}
    </Empty>
  );
}
