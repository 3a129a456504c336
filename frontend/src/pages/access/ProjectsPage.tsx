// Projects of the organisation, those in the bin too; and the organisations of the installation.
import { useMutation, useQuery } from "@tanstack/react-query";
import { Form, Input, Space, Tag } from "antd";
import { BY_NAME, listed, usePager } from "@/api/cursor";
import {
  organisationsCreateMutation,
  organisationsListOptions,
  projectsCreateMutation,
  projectsDestroyMutation,
  projectsListOptions,
  projectsPartialUpdateMutation,
  projectsRestoreCreateMutation,
} from "@/api/generated/@tanstack/react-query.gen";
import type { NameIn, OrganisationOut, ProjectOut } from "@/api/generated/types.gen";
import { refusalOf } from "@/api/refusal";
import { useMay, useSession } from "@/shell/session";
import { Danger } from "@/ui/Danger";
import { Hash, When } from "@/ui/figures";
import { FormDialog } from "@/ui/FormDialog";
import { ListTable } from "@/ui/ListTable";
import { Page } from "@/ui/Page";
import { Sure } from "@/ui/runs/Sure";
import { words as uiWords } from "@/ui/words";
import { Leaving } from "./Leaving";
import { Retention } from "./Retention";
import { words } from "./words";

function NameField() {
  const t = words.use();
  const tui = uiWords.use();
  return (
    <Form.Item name="name" label={tui("name")} extra={t("name.extra")} rules={[{ required: true, max: 63 }]}>
      <Input autoComplete="off" />
    </Form.Item>
  );
}

export default function ProjectsPage() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const session = useSession();
  const found = useQuery(projectsListOptions());
  const make = useMutation({ ...projectsCreateMutation(), meta: { quiet: true } });
  const rename = useMutation({ ...projectsPartialUpdateMutation(), meta: { quiet: true } });
  const bin = useMutation(projectsDestroyMutation());
  const restore = useMutation(projectsRestoreCreateMutation());
  return (
    <Page title={t("projects")} lead={t("projects.lead")}>
      <ListTable<ProjectOut>
        label={t("projects")}
        rowKey={(row) => row.id}
        {...listed(found)}
        empty={t("projects.empty")}
        filters={
          may("organisation", "operate") && (
            <FormDialog<NameIn> type="primary" label={t("project.new")} onSubmit={(body) => make.mutateAsync({ body })}>
              <NameField />
            </FormDialog>
          )
        }
        columns={[
          {
            title: tui("name"),
            render: (_, row) => (
              <Space>
                {row.name}
                {row.id === session.project.id && <Tag color="blue">{t("project.here")}</Tag>}
                {row.archived_at !== null && <Tag color="warning">{t("project.bin")}</Tag>}
              </Space>
            ),
          },
          { title: t("project.id"), render: (_, row) => <Hash value={row.id} length={8} /> },
          { title: t("project.archived"), render: (_, row) => <When at={row.archived_at} /> },
          {
            title: tui("actions"),
            render: (_, row) =>
              row.archived_at === null ? (
                <Space>
                  {may("organisation", "operate") && (
                    <FormDialog<NameIn>
                      label={t("project.rename")}
                      title={t("project.rename.of", { name: row.name })}
                      send={tui("save")}
                      initial={{ name: row.name }}
                      onSubmit={(body) => rename.mutateAsync({ path: { project_id: row.id }, body })}
                    >
                      <NameField />
                    </FormDialog>
                  )}
                  {may("organisation", "full") && row.id !== session.project.id && (
                    <Danger name={row.name} label={t("project.archive")} breaks={t("project.archive.breaks")} onConfirm={() => bin.mutate({ path: { project_id: row.id } })} />
                  )}
                </Space>
              ) : (
                may("organisation", "full") && (
                  <Sure
                    label={t("project.restore")}
                    what={t("project.restore.what", { name: row.name })}
                    breaks={t("project.restore.breaks")}
                    onConfirm={() => restore.mutate({ path: { project_id: row.id } })}
                  />
                )
              ),
          },
        ]}
      />
      <Retention />
      <Leaving />
      {may("platform", "read") && <Organisations />}
    </Page>
  );
}

function Organisations() {
  const t = words.use();
  const tui = uiWords.use();
  const may = useMay();
  const pager = usePager(BY_NAME);
  const found = useQuery(organisationsListOptions({ query: { limit: 20, cursor: pager.cursor, order: pager.order } }));
  const make = useMutation({ ...organisationsCreateMutation(), meta: { quiet: true } });
  return (
    <ListTable<OrganisationOut>
      label={t("organisations")}
      rows={found.data?.data}
      rowKey={(row) => row.id}
      refusal={found.error && refusalOf(found.error)}
      pager={pager}
      nextCursor={found.data?.next_cursor}
      empty=""
      filters={
        may("platform", "operate") && (
          <FormDialog<NameIn> label={t("organisation.new")} onSubmit={(body) => make.mutateAsync({ body })}>
            <NameField />
          </FormDialog>
        )
      }
      columns={[
        { title: t("organisations"), dataIndex: "name", key: "name", sorter: true },
        { title: t("project.id"), render: (_, row) => <Hash value={row.id} length={8} /> },
        { title: tui("created"), key: "created", sorter: true, render: (_, row) => <When at={row.created_at} /> },
      ]}
    />
  );
}
