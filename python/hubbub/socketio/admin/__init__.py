"""What the page of `@socket.io/admin-ui` is told about a server, and what it may do there.

The page is a client in a namespace of its own. `options` says what `Server.instrument` takes, `door` who is let in,
`figures` are the server's numbers, `watcher` follows sockets and events for as long as somebody looks, `actions` is
what the page may ask for.
"""

from hubbub.socketio.admin.options import AdminOptions, Auth, Mode
from hubbub.socketio.admin.panel import AdminPanel
from hubbub.socketio.admin.watcher import Watcher

__all__ = ["AdminOptions", "AdminPanel", "Auth", "Mode", "Watcher"]
