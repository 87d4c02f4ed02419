"""`hubbub bench`: a load test for WebSocket and Socket.IO servers, this one or another.

| module | what it does |
|---|---|
| `arguments` | the options, and what the generator is to be told |
| `command` | one run from its options to its exit status |
| `watching` | looks at the run while it goes on; Ctrl-C |
| `screen` | what a terminal shows meanwhile; needs rich |
| `summary` | the result as text |
| `plot`, `page` | the result as pictures and as one HTML file; need matplotlib |
| `builtin`, `hubs` | a hub to try it on |
| `machine` | what it was measured on |
| `units` | numbers as people read them |

The generator itself is `hubbub._core.Load`; reports and snapshots are its JSON objects.
"""
