// What was just done can be undone: a word about it with a button, for a while.
import { App, Button } from "antd";
import { words } from "./words";

const SECONDS = 12;

export function useUndo(): (said: string, undo: () => void) => void {
  const t = words.use();
  const { notification } = App.useApp();
  return (said, undo) => {
    const key = `undo-${said}`;
    notification.info({
      key,
      title: said,
      duration: SECONDS,
      role: "status",
      actions: (
        <Button
          type="primary"
          size="small"
          onClick={() => {
            notification.destroy(key);
            undo();
          }}
        >
          {t("undo")}
        </Button>
      ),
    });
  };
}
