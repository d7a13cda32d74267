-- Give back a permit that was acquired without a queue entry.
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         requests, window ms, slots, hold ms, margin ms, anchor ms, elapsed ms, '1' when the caller has seen the
--              gate before, permit, token, how it ended: used | aborted | unused, '1' when the other side was well
-- Reply        {gate ms, wall ms}
-- Safe at OOM: passes
-- Owner-checked: by the permit's name
-- include: gate

gate.open(1, {
  requests = tonumber(ARGV[1]),
  window = tonumber(ARGV[2]),
  connections = tonumber(ARGV[3]),
  hold = tonumber(ARGV[4]),
  margin = tonumber(ARGV[5]),
}, tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1')
gate.free({ ARGV[9] })
gate.ended(ARGV[9], ARGV[10], ARGV[11], ARGV[12] == '1')
return { string.format('%.0f', gate.now), gate.wall }
