// Leaves the page of something that is there no more: its own queries would find nothing, so only the next page reads anew.
import { useNavigate } from "react-router";
import { queries } from "./client";

/** For mutations whose page is then left: what is on the screen is not read anew. */
export const GONE = { last: true };

export function useLeave(): (to: string) => Promise<void> {
  const navigate = useNavigate();
  return async (to) => {
    await queries.invalidateQueries({ refetchType: "none" });
    await navigate(to);
  };
}
