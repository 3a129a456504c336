// Shares of a whole as one bar and as words: who takes how many percent.
import { theme } from "antd";

type Share = { name: string; percent: number };

export function Shares({ of }: { of: Share[] }) {
  const { token } = theme.useToken();
  const colours = [token.colorPrimary, "#e8833a", "#2f9e6e", "#9a5bd0", "#c8485f", "#5f7d95"];
  return (
    <div className="shares">
      <div className="shares-bar" aria-hidden>
        {of.map(({ name, percent }, index) => (
          <span key={name} style={{ width: `${percent}%`, background: colours[index % colours.length] }} />
        ))}
      </div>
      {of.map(({ name, percent }) => (
        <div key={name} className="number">
          {percent} % {name}
        </div>
      ))}
    </div>
  );
}
