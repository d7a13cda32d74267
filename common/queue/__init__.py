"""
The queue: a stream whose pending list is the state machine (design section 3), and the gate before it (section 4).

`keys` names what lies in Redis, `scripts` runs the Lua files of `lua/`, `intake` accepts, `consumer` takes, runs and
settles, `gate` gives the permits, `lease` says who is alive, `janitor` mends what faults leave behind.
"""
