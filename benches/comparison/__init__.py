"""hubbub beside other servers.

| module | what it knows |
|---|---|
| `main` | the command line, and the order of things |
| `plan` | which measurements a run consists of |
| `servers`, `kits` | who takes part; how their programs are installed and started |
| `scenarios` | what is measured |
| `running` | one server process, one measurement |
| `client`, `checks`, `blocked` | a small client; whether a server does what it should; pings while a handler blocks |
| `machine` | cores, processor, versions |
| `store` | what was measured, in a file that can be added to |
| `figures` | medians, ratios, and whether the generator was the bottleneck |
| `table`, `plot` | RESULTS.md and its drawings |
"""
