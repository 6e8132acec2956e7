// Mutes the sandbox's customer with the types that openapi-typescript generates, and
// reads the reason of an error. SANDBOX_REST is the address.
import createClient from "openapi-fetch";
import type { paths } from "./api";

declare const process: { env: Record<string, string | undefined> };

const conference_sid = "CFcf000000000000000000000000000001";
const path = "/v1/conferences/{conference_sid}/participants/{call_sid}";

async function main(): Promise<void> {
  const client = createClient<paths>({ baseUrl: process.env.SANDBOX_REST });
  const answer = await client.PATCH(path, {
    params: { path: { conference_sid, call_sid: "CAca000000000000000000000000000002" } },
    body: { muted: true, hold_method: "GET" },
  });
  if (!answer.data?.participant.muted) throw new Error(JSON.stringify(answer.error));
  const refused = await client.PATCH(path, {
    params: { path: { conference_sid, call_sid: "nobody" } },
    body: { muted: true },
  });
  const reason: string | undefined = refused.error?.details[0].reason;
  if (reason !== "PARTICIPANT_NOT_FOUND") throw new Error(`reason ${reason}`);
  console.log("openapi-typescript: muted");
}

void main();
