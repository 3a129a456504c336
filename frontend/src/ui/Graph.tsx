// Boxes joined by lines that are read from left to right, each box a way to what it stands for; in words below, for who cannot see it.
import { theme } from "antd";
import { GraphChart } from "echarts/charts";
import { use as register } from "echarts/core";
import { Fragment, useCallback, useMemo } from "react";
import { Link, useNavigate } from "react-router";
import { type Arrow, type Box, BOX, fitting, placed } from "./layers";
import { useDrawing } from "./drawing";

register([GraphChart]);

type Props = { boxes: Box[]; arrows: Arrow[]; /** The box that this page is about. */ here: string; label: string };
const LONGEST = 18;
/** Room for the lines around the outermost boxes, in pixels. */
const EDGE = 2;

export default function Graph({ boxes, arrows, here, label }: Props) {
  const { token } = theme.useToken();
  const go = useNavigate();
  const laid = useMemo(() => placed(boxes, arrows), [boxes, arrows]);
  const option = useMemo(
    () => ({
      animation: false,
      series: {
        type: "graph",
        layout: "none",
        roam: false,
        left: EDGE,
        right: EDGE,
        top: EDGE,
        bottom: EDGE,
        symbol: "rect",
        symbolSize: [...BOX],
        lineStyle: { color: token.colorTextQuaternary, width: 1.5, opacity: 1 },
        emphasis: { disabled: true },
        label: {
          show: true,
          fontFamily: token.fontFamily,
          color: token.colorText,
          formatter: ({ data }: { data: { said: string; kind: string } }) => `{kind|${data.kind}}\n{said|${fitting(data.said, LONGEST).replaceAll(/[{}|]/g, " ")}}`,
          rich: {
            kind: { color: token.colorTextDescription, fontSize: 11, lineHeight: 18 },
            said: { color: token.colorText, fontSize: 13, lineHeight: 18 },
          },
        },
        data: [
          ...laid.boxes.map(({ id, kind, label: said, x, y }) => ({
            name: id,
            kind,
            said,
            x,
            y,
            itemStyle: {
              color: id === here ? token.colorPrimaryBg : token.colorBgContainer,
              borderColor: id === here ? token.colorPrimary : token.colorBorder,
              borderWidth: 1,
            },
          })),
          // Nothing to be seen: they make the drawing as large as its boxes, so that none is stretched.
          ...laid.corners.map((corner) => ({ ...corner, name: `${corner.x}`, symbolSize: 0, label: { show: false } })),
        ],
        links: arrows.map(({ from, to }) => ({ source: from, target: to })),
      },
    }),
    [laid, arrows, here, token],
  );
  const open = useCallback(
    (id: string) => {
      const to = boxes.find((each) => each.id === id)?.to;
      if (to !== undefined) void go(to);
    },
    [boxes, go],
  );
  const box = useDrawing(option, open);
  const [left, right] = laid.corners;
  return (
    <section className="card graph" aria-label={label}>
      {/* Wider than a phone: scrolled sideways, by keyboard too. */}
      <div className="graph-drawn" tabIndex={0}>
        <div ref={box} className="chart" role="img" aria-label={label} style={{ width: right.x - left.x + 2 * EDGE, height: right.y - left.y + 2 * EDGE }} />
      </div>
      <ul className="graph-words">
        {boxes.map(({ id, kind, label: said, to }) => (
          <li key={id}>
            {to === undefined || id === here ? (
              <Fragment>
                {kind} {said}
              </Fragment>
            ) : (
              <Link to={to}>
                {kind} {said}
              </Link>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
