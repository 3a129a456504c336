// Passkeys: the browser's own dialogue between the platform's question and the person's finger.
import { sessionFactorsPasskeyCreate, sessionFactorsPasskeyOptionsCreate, sessionPasskeyCreate, sessionPasskeyOptionsCreate } from "./generated/sdk.gen";

/** Whether passkeys work here: in a browser that speaks their JSON, at a place that has a name. */
export const hasPasskeys = () =>
  typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential && !/^[\d.]+$|^\[/.test(location.hostname);

function told(credential: Credential | null): Record<string, unknown> {
  if (credential === null) throw new Error("no passkey");
  return { ...(credential as PublicKeyCredential).toJSON() };
}

/** Sign in with a passkey, or show with it who is there. */
export async function askPasskey(): Promise<void> {
  const { data } = await sessionPasskeyOptionsCreate({ throwOnError: true });
  const asked = data.options as unknown as PublicKeyCredentialRequestOptionsJSON;
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked);
  const credential = told(await navigator.credentials.get({ publicKey }));
  await sessionPasskeyCreate({ body: { credential }, throwOnError: true });
}

/** Make a passkey for the signed-in person. */
export async function makePasskey(name: string): Promise<void> {
  const { data } = await sessionFactorsPasskeyOptionsCreate({ throwOnError: true });
  const asked = data.options as unknown as PublicKeyCredentialCreationOptionsJSON;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked);
  const credential = told(await navigator.credentials.create({ publicKey }));
  await sessionFactorsPasskeyCreate({ body: { credential, name }, throwOnError: true });
}
