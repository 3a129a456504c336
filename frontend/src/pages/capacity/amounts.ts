// What machines are counted in, in the order it is shown.
export const AMOUNTS = ["gpus", "cpus", "memory_gib"] as const;
