"""Echo over TLS on socketify: uWebSockets, with BoringSSL, from Python. Prints its port.

python socketify_tls.py CERTIFICATE KEY
"""

import socket
import sys

from socketify import App, AppListenOptions, AppOptions, CompressOptions

with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]  # it does not say which one it was given
app = App(AppOptions(cert_file_name=sys.argv[1], key_file_name=sys.argv[2]))
settings = {"compression": CompressOptions.DISABLED, "message": lambda ws, data, opcode: ws.send(data, opcode)}
app.ws("/*", settings)
app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda config: print(port, flush=True))
app.run()
