-- Give back a permit that was acquired without a queue entry.
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         the gate's nine, permit, token, how it ended: used | aborted | unused, '1' when the other side was well
-- Reply        {gate ms, wall ms}
-- Safe at OOM: passes
-- Owner-checked: by the permit's name
-- include: clock, gate

gate.open(1, 1)
gate.ended(ARGV[10], ARGV[11], ARGV[12], ARGV[13] == '1')
gate.free()
return { string.format('%.3f', gate.now), gate.wall }
