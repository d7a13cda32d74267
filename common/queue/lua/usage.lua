-- Look at a gate.
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         none
-- Reply        {tokens out, slots open, paused ms, reason, held since ms ('' = it is not), by whom, why}
-- Safe at OOM: passes (it writes nothing)
-- Owner-checked: not needed, it changes nothing
-- include: clock, usage

return usage(KEYS[1], KEYS[2], KEYS[3], wall_ms())
