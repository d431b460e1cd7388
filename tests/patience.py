"""How long tests wait. Both bounds end what hangs; no test may need them, on however slow or busy a machine."""

#: Seconds for something that takes long: a process that trains, a server that starts.
PATIENCE = 500.0
#: Seconds for something that must not wait; what it would wait for takes a minute or more.
SOON = 30.0
