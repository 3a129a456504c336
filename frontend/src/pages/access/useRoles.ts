// Roles to choose from: the ready-made ones and the organisation's own, as far as one may look at them.
import { useQuery } from "@tanstack/react-query";
import { rolesListOptions } from "@/api/generated/@tanstack/react-query.gen";
import { useMay } from "@/shell/session";
import { words } from "./words";

const READY = ["reader", "operator", "owner"] as const;

export function useRoles() {
  const t = words.use();
  const may = useMay();
  const own = useQuery({ ...rolesListOptions(), enabled: may("organisation", "read"), staleTime: 15_000 });
  const nameOf = (role: string) =>
    role === "reader" || role === "operator" || role === "owner" || role === "admin" ? t(`role.${role}`) : role;
  const options: { value: string; label: string }[] = [
    ...READY.map((role) => ({ value: role, label: t(`role.${role}`) })),
    ...(own.data?.data ?? []).map((each) => ({ value: each.name, label: each.name })),
  ];
  return { nameOf, options };
}
