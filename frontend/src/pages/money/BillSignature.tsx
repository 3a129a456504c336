// What proves a bill's files: the signature to keep beside them, and the command that verifies all three offline.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Button, Typography } from "antd";
import { download } from "@/api/download";
import { billsSignatureRetrieveOptions } from "@/api/generated/@tanstack/react-query.gen";
import { refusalOf } from "@/api/refusal";
import { Hash } from "@/ui/figures";
import { Facts } from "@/ui/Facts";
import { Refused } from "@/ui/Refused";
import { words } from "./words";

export function BillSignature({ month, everywhere }: { month: string; everywhere: boolean }) {
  const t = words.use();
  const found = useQuery(billsSignatureRetrieveOptions({ path: { month }, query: { everywhere } }));
  const file = `bill-${month}.signature.json`;
  const take = useMutation({ mutationFn: () => download(`/api/v1/bills/${month}/signature?everywhere=${String(everywhere)}`, file) });
  const made = found.data;
  if (found.error) return <Refused refusal={refusalOf(found.error)} onRetry={() => void found.refetch()} />;
  return (
    <div className="stack">
      <p className="quiet">{t("bill.signature.lead")}</p>
      <div>
        <Button type="primary" onClick={() => take.mutate()}>{t("bill.signature.take")}</Button>
      </div>
      {made !== undefined && (
        <>
          <Facts
            facts={[
              [t("bill.hash"), <Hash key="c" value={made.csv_sha256} />],
              [t("bill.pdf_hash"), <Hash key="p" value={made.pdf_sha256} />],
              [t("bill.signature"), <Hash key="s" value={made.signature} />],
              [t("bill.public_key"), <Hash key="k" value={made.public_key} />],
            ]}
          />
          <div>
            {t("bill.signature.verify")}
            <Typography.Paragraph code copyable>{`slipway bill verify ${file} bill-${month}.csv --pdf bill-${month}.pdf --public-key ${made.public_key}`}</Typography.Paragraph>
          </div>
        </>
      )}
    </div>
  );
}
