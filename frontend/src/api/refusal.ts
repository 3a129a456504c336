// A refusal of the platform, in the one error shape that every route answers with.
export type Fault = { field: string; rule: string; value: unknown; fix: string };

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: Fault[];
  readonly requestId: string;

  constructor(given: { status: number; code: string; message: string; details?: Fault[]; requestId?: string }) {
    super(given.message);
    this.name = "Refusal";
    this.status = given.status;
    this.code = given.code;
    this.details = given.details ?? [];
    this.requestId = given.requestId ?? "";
  }
}

type Shape = { error?: { code?: string; message?: string; details?: Fault[]; request_id?: string } };

/** Makes a Refusal of whatever came instead of an answer; status 0 means nothing answered at all. */
export function refusalOf(error: unknown, response?: Response): Refusal {
  if (error instanceof Refusal) return error;
  const said = typeof error === "object" && error !== null ? (error as Shape).error : undefined;
  if (said?.message !== undefined) {
    return new Refusal({
      status: response?.status ?? 0,
      code: said.code ?? "error",
      message: said.message,
      details: said.details ?? [],
      requestId: said.request_id ?? response?.headers.get("x-request-id") ?? "",
    });
  }
  const status = response?.status ?? 0;
  return new Refusal({
    status,
    code: status === 0 ? "unreachable" : "error",
    message: error instanceof Error ? error.message : `HTTP ${status}`,
    requestId: response?.headers.get("x-request-id") ?? "",
  });
}
