// A link that looks like a button: opens in a new tab like any link, and without a reload in this one.
import { Button, type ButtonProps } from "antd";
import { useHref, useNavigate } from "react-router";

type Props = { to: string; children: string; type?: ButtonProps["type"]; size?: ButtonProps["size"] };

export function LinkButton({ to, children, type = "default", size }: Props) {
  const href = useHref(to);
  const go = useNavigate();
  return (
    <Button
      type={type}
      href={href}
      {...(size !== undefined && { size })}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        void go(to);
      }}
    >
      {children}
    </Button>
  );
}
