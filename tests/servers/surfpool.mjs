// Runs one Surfpool, a Solana node inside a native module, until SIGTERM or SIGINT.
// usage: node surfpool.mjs MODULE '{"blockProductionMode":"clock","slotTimeMs":400}'
// Prints one line: {"rpcUrl":"http://...","wsUrl":"ws://...","pid":1}. Knows nothing of its caller.
import { createRequire } from "node:module";

const [module, config] = process.argv.slice(2);
const { Surfnet } = createRequire(import.meta.url)(module);
const surfnet = Surfnet.startWithConfig(JSON.parse(config ?? "{}"));
const line = { rpcUrl: surfnet.rpcUrl, wsUrl: surfnet.wsUrl, pid: process.pid };
process.stdout.write(`${JSON.stringify(line)}\n`);
// its events pile up unless somebody takes them
const drain = setInterval(() => surfnet.drainEvents(), 1000);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    clearInterval(drain);
    surfnet.stop();
    process.exit(0);
  });
}
