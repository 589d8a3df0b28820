// A service that is in the registry for as long as it lives, and hears of the others of its
// kind. It needs a NATS client and nothing of Roost:
//
//   npm ci
//   node service.mjs payments i-1 http://127.0.0.1:8080
import { randomBytes } from "node:crypto";
import { connect } from "@nats-io/transport-node";

const [service, instance, endpoint] = process.argv.slice(2);
const P = process.env.ROOST_PREFIX ?? "roost.v1";
const TTL = Number(process.env.TTL_MS ?? 15000);
const token = (name) => [...Buffer.from(name)].map((b) => String.fromCharCode(b))
  .map((c) => /[A-Za-z0-9_-]/.test(c) ? c : "=" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")).join("");

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });

async function ask(subject, body) {
  const reply = await nc.request(`${P}.${subject}`, JSON.stringify(body), { timeout: 3000 });
  if (reply.headers?.get("Nats-Service-Error-Code")) throw Object.assign(new Error(), reply.json());
  return reply.json();
}

let lease = ""; // a secret; whoever knows it can act in this service's name
let registered = false;
const connection = () => ({ server_id: nc.info.server_id, client_id: nc.info.client_id });

async function beat() { // every third of the TTL; a lease that has ended is followed by a new one
  try {
    if (lease) await ask("lease.keepalive", { lease, connection: connection() });
    else await ask("lease.grant", { lease: lease = randomBytes(18).toString("base64url"), ttl_ms: TTL, name: instance, connection: connection() });
    if (!registered) await ask(`registry.register.default.${token(service)}.${token(instance)}`, { lease, endpoints: { http: endpoint } });
    registered = true;
  } catch (e) { // anything else passes, and what is registered stays as long as the lease
    if (e.code === "lease_expired") [lease, registered] = ["", false];
    console.error(`${e.code ?? e.name}: ${e.message}`);
  }
  timer = setTimeout(beat, registered ? TTL / 3 * (0.9 + Math.random() / 5) : 500);
}

let timer = setTimeout(beat);
process.on("SIGTERM", async () => {
  clearTimeout(timer);
  await ask("lease.revoke", { lease }).finally(() => nc.drain());
});
// Events may be lost; docs/follow.md says how to miss none all the same.
for await (const m of nc.subscribe(`${P}.event.default.${token(service)}.*`)) {
  console.log(m.headers.get("Roost-Event"), m.json().instance, m.headers.get("Roost-Reason"));
}
