"""Programs of one idea each. Each is a Socket.IO server of its own, at a path of its own, on this hub."""

from hubbub import Hub

hub = Hub(origins=["same-origin"])
