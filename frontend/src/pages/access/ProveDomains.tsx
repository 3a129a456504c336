// The records that prove the mail domains of a provider, and the look for them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Alert, Button, Modal, Space, Tag } from "antd";
import { useState } from "react";
import { identityProvidersDomainsListOptions, identityProvidersDomainsProveMutation } from "@/api/generated/@tanstack/react-query.gen";
import type { DomainOut } from "@/api/generated/types.gen";
import { listed } from "@/api/cursor";
import { ListTable } from "@/ui/ListTable";
import { words } from "./entryWords";
import { Registered } from "./Registered";

export function ProveDomains({ id }: { id: string }) {
  const t = words.use();
  const [open, setOpen] = useState(false);
  const asked = { path: { provider_id: id } };
  const found = useQuery({ ...identityProvidersDomainsListOptions(asked), enabled: open });
  const look = useMutation({ ...identityProvidersDomainsProveMutation(), onSettled: () => found.refetch() });
  // Only a look says why it proved nothing.
  const troubles = look.data?.data.filter((each) => each.trouble !== "") ?? [];
  return (
    <>
      <Button onClick={() => setOpen(true)}>{t("provider.domains.prove")}</Button>
      <Modal
        open={open}
        width={860}
        title={t("provider.domains.prove")}
        okText={t("provider.domains.look")}
        confirmLoading={look.isPending}
        onOk={() => look.mutate(asked)}
        onCancel={() => setOpen(false)}
      >
        <Space orientation="vertical" className="wide">
          <Alert type="info" title={t("provider.domains.lead")} />
          <ListTable<DomainOut>
            label={t("provider.domains.prove")}
            rowKey={(row) => row.name}
            {...listed(found)}
            empty={t("provider.domains")}
            columns={[
              {
                title: t("provider.domains"),
                render: (_, row) => (
                  <>
                    {row.name} <Tag color={row.proved_at === null ? "warning" : "success"}>{t(row.proved_at === null ? "provider.domains.unproved" : "provider.domains.proved")}</Tag>
                  </>
                ),
              },
              { title: t("provider.domains.record"), render: (_, row) => <Registered text={row.record} /> },
              { title: t("provider.domains.value"), render: (_, row) => <Registered text={row.value} /> },
            ]}
          />
          {troubles.map((each) => (
            <Alert key={each.name} type="warning" title={each.trouble} />
          ))}
        </Space>
      </Modal>
    </>
  );
}
