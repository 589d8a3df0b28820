// A service that is in the registry for as long as it lives, and hears of the others of its
// kind. It needs a NATS client and nothing of Roost; docs/protocol.md says what it sends.
import { randomBytes } from "node:crypto";
import { connect } from "@nats-io/transport-node";

const [service, instance, endpoint] = process.argv.slice(2);
const P = process.env.ROOST_PREFIX ?? "roost.v1";
const TTL = Number(process.env.TTL_MS ?? 15000);
const token = (name) => Buffer.from(name).toString("latin1").replace(/[^A-Za-z0-9_-]/g,
  (byte) => "=" + byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")) || "_";
const newSecret = () => randomBytes(18).toString("base64url"); // who knows it can act for us

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 250 });

async function ask(subject, body) { // every request below may be sent again
  const reply = await nc.request(`${P}.${subject}`, JSON.stringify(body), { timeout: 1000 });
  if (reply.headers?.has("Nats-Service-Error-Code")) throw Object.assign(new Error(), reply.json());
}

let [lease, granted, registered] = [newSecret(), false, false];
let [stopping, hurry, wake] = [false, false, () => {}];
const pause = (ms) => hurry || new Promise((end) => { const t = setTimeout(end, ms); wake = () => end(clearTimeout(t)); });
const hurryUp = () => { hurry = true; wake(); };

async function live() { // a keepalive every third of the TTL, and soon after a failure
  for (let wait; !stopping; await pause(wait)) try {
    hurry = false;
    if (!nc.info) throw new Error("NATS is away");
    const connection = { server_id: nc.info.server_id, client_id: nc.info.client_id };
    if (granted) await ask("lease.keepalive", { lease, connection });
    else await ask("lease.grant", { lease, ttl_ms: TTL, name: instance, connection });
    granted = true;
    if (!registered) await ask(`registry.register.default.${token(service)}.${token(instance)}`, { lease, endpoints: { http: endpoint } });
    registered = true;
    wait = TTL / 3 * (0.9 + Math.random() / 5);
  } catch (e) { // the registry is away, the name is another's, or:
    if (e.code === "lease_expired") [lease, granted, registered] = [newSecret(), false, false];
    if (e.code === "invalid") [process.exitCode, stopping] = [1, true];
    console.error(`${e.code ?? e.name}: ${e.message}`);
    wait = 300 + Math.random() * 300;
  }
  await ask("lease.revoke", { lease }).catch(() => {}); // else it ends by itself
  await nc.close();
}
async function reconnects() { // the lease must hear of the new connection within its grace
  for await (const s of nc.status()) if (s.type === "reconnect") hurryUp();
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => { stopping = true; hurryUp(); });
const events = nc.subscribe(`${P}.event.default.${token(service)}.*`); // some may be lost: docs/follow.md
live();
reconnects();
for await (const m of events) console.log(m.headers.get("Roost-Event"), m.json().instance, m.headers.get("Roost-Reason"));
