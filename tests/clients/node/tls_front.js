// TLS in front of a plain port, for a client that dials nothing else. Bytes go through untouched.
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

/** The same URL behind TLS; `folder` has key.pem and cert.pem for localhost. */
export async function behindTls(url, folder) {
  const { hostname, port, pathname } = new URL(url);
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => readFileSync(`${folder}/${name}`));
  const server = tls.createServer({ key, cert }, (secure) => {
    const plain = net.connect(Number(port), hostname);
    secure.pipe(plain).pipe(secure);
    secure.on("error", () => plain.destroy());
    plain.on("error", () => secure.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return `https://localhost:${server.address().port}${pathname}`;
}
