// Thumbs on one answer: stored at a press, with a comment if there is one to give.
import { DislikeOutlined, LikeOutlined } from "@ant-design/icons";
import { useMutation } from "@tanstack/react-query";
import { Button, Input, Space } from "antd";
import { useState } from "react";
import { feedbackGiveMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { Message } from "@/api/chat";
import { words } from "./words";

type Props = { requestId: string; model: string; messages: Message[]; answer: string };

export function Thumbs({ requestId, model, messages, answer }: Props) {
  const t = words.use();
  const [good, setGood] = useState<boolean>();
  const [comment, setComment] = useState("");
  const [sent, setSent] = useState("");
  const give = useMutation({ ...feedbackGiveMutation(), meta: { last: true } });
  const say = (thumb: boolean, text: string) => {
    const before = good;
    setGood(thumb);
    give.mutate(
      { body: { request_id: requestId, model, good: thumb, comment: text, messages, answer } },
      { onSuccess: () => setSent(text), onError: () => setGood(before) },
    );
  };
  return (
    <div className="play-thumbs">
      <Space size={4}>
        {([true, false] as const).map((each) => (
          <Button
            key={String(each)}
            size="small"
            type={good === each ? "primary" : "text"}
            aria-pressed={good === each}
            aria-label={each ? t("thumb.up") : t("thumb.down")}
            title={each ? t("thumb.up") : t("thumb.down")}
            icon={each ? <LikeOutlined /> : <DislikeOutlined />}
            onClick={() => say(each, comment)}
          />
        ))}
        {good !== undefined && give.isSuccess && <span className="quiet" role="status">{t("thumb.kept")}</span>}
      </Space>
      {good !== undefined && (
        <Space.Compact className="wide">
          <Input
            size="small"
            value={comment}
            maxLength={4_000}
            placeholder={good ? t("thumb.comment.good") : t("thumb.comment.bad")}
            aria-label={t("thumb.comment")}
            onChange={(event) => setComment(event.target.value)}
            onPressEnter={() => say(good, comment)}
          />
          <Button size="small" loading={give.isPending && give.variables.body.comment === comment} disabled={comment === sent} onClick={() => say(good, comment)}>
            {t("thumb.send")}
          </Button>
        </Space.Compact>
      )}
    </div>
  );
}
