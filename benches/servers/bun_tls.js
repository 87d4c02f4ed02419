// Echo over TLS on Bun, whose WebSockets and TLS are those of uWebSockets, with BoringSSL. Prints its port.
//
// bun bun_tls.js CERTIFICATE KEY

const [certificate, key] = process.argv.slice(2);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  tls: { cert: Bun.file(certificate), key: Bun.file(key) },
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 426 })),
  websocket: { perMessageDeflate: false, message: (socket, data) => void socket.send(data) },
});
console.log(server.port);
