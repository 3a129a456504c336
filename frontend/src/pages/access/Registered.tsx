// What is to be copied to somebody else's settings, however long.
import { Typography } from "antd";

export const Registered = ({ text }: { text: string }) => (
  <Typography.Text copyable={{ text }}>
    <code className="clip">{text}</code>
  </Typography.Text>
);
