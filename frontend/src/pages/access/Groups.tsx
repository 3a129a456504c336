// Groups of people who get roles together.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Select, Space, Tag } from "antd";
import { listed } from "@/api/cursor";
import { groupsCreateMutation, groupsDestroyMutation, groupsListOptions, groupsUpdateMutation, membersListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { groupsRetrieve } from "@/api/generated/sdk.gen";
import type { GroupIn, GroupOut, PeopleIn } from "@/api/generated/types.gen";
import { changedBy, seen, upon } from "@/api/editing";
import { useMay } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { words as uiWords } from "@/ui/words";
import { words } from "./words";

export function Groups() {
  const t = words.use();
  const tui = uiWords.use();
  const decides = useMay()("organisation", "full");
  const found = useQuery(groupsListOptions());
  const members = useQuery({ ...membersListOptions(), enabled: decides, staleTime: 15_000 });
  const make = useMutation({ ...groupsCreateMutation(), meta: { quiet: true } });
  const change = useMutation({ ...groupsUpdateMutation(), meta: { quiet: true } });
  const remove = useMutation(groupsDestroyMutation());
  const known = (members.data?.data ?? []).flatMap((each) => (each.user === null ? [] : [{ value: each.user, label: each.user }]));
  const people = (
    <Form.Item name="people" label={t("group.people")} extra={t("group.people.extra")}>
      <Select mode="tags" options={known} tokenSeparators={[",", " "]} />
    </Form.Item>
  );
  return (
    <ListTable<GroupOut>
      label={t("groups")}
      rowKey={(row) => row.id}
      {...listed(found)}
      empty={t("groups.empty")}
      filters={
        decides && (
          <FormDialog<GroupIn> type="primary" label={t("group.new")} initial={{ people: [] }} onSubmit={(body) => make.mutateAsync({ body })}>
            <Form.Item name="name" label={tui("name")} rules={[{ required: true, max: 63 }]}>
              <Input autoComplete="off" />
            </Form.Item>
            {people}
          </FormDialog>
        )
      }
      columns={[
        { title: tui("name"), dataIndex: "name" },
        { title: t("group.people"), render: (_, row) => row.people.map((each) => <Tag key={each}>{each}</Tag>) },
        {
          title: tui("actions"),
          render: (_, row) =>
            decides && (
              <Space>
                <FormDialog<PeopleIn>
                  label={tui("edit")}
                  title={t("group.edit", { name: row.name })}
                  send={tui("save")}
                  load={() => seen(groupsRetrieve({ path: { group_id: row.id }, throwOnError: true }))}
                  changedBy={() => changedBy(row.id)}
                  onSubmit={(body, tag) => change.mutateAsync({ path: { group_id: row.id }, body, headers: upon(tag) })}
                >
                  {people}
                </FormDialog>
                <Danger name={row.name} breaks={t("group.delete.breaks")} onConfirm={() => remove.mutate({ path: { group_id: row.id } })} />
              </Space>
            ),
        },
      ]}
    />
  );
}
